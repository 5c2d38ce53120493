# Slipway itself. Both bases are arguments, for sites that have their own:
#   docker build --build-arg BUILD_BASE=… --build-arg BASE=… -t slipway .
# BUILD_BASE needs Rust and a C compiler; BASE is a Debian or Ubuntu.
ARG BUILD_BASE=rust:1.95-slim-bookworm
ARG BASE=debian:bookworm-slim

FROM ${BUILD_BASE} AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin slipway

FROM ${BASE}
# Checkouts are made by the git program, over HTTPS and SSH.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git openssh-client \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/slipway /usr/local/bin/slipway
# A worker talks to the Engine of its host (mount /var/run/docker.sock), which resolves mounts on
# the host: the cache directory must be mounted under the same path that it has there. Whoever
# holds the socket is root on the host, so no user is set; `server` needs none: `--user 10001`.
ENTRYPOINT ["/usr/local/bin/slipway"]
CMD ["worker"]
