# Slipway itself: the release binary on a base of the site's own, which has git, openssh-client and ca-certificates.
#   cargo build --release --locked && docker build --build-arg BASE=harbor.example.com/base/git:1 --tag slipway .
# It runs nothing while it is built, so Slipway builds it too:
#   slipway build --toolchain dockerfile --set 'toolchain.build_args={BASE="harbor.example.com/base/git:1"}'
ARG BASE
FROM ${BASE}
ARG BINARY=target/release/slipway
COPY ${BINARY} /usr/local/bin/slipway
# A worker talks to the Engine of its host (mount /var/run/docker.sock), which resolves mounts on
# the host: the cache directory must be mounted under the same path that it has there. Whoever
# holds the socket is root on the host, so no user is set; `server` needs none: `--user 10001`.
ENTRYPOINT ["/usr/local/bin/slipway"]
CMD ["worker"]
