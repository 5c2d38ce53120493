# Other people's tools that read what Slipway assembles: skopeo and umoci are Debian's, crane comes as its makers offer
# it. Sourced by `up`.

CRANE_VERSION=v0.20.6

tools_up() {
  [ -x "$STATE/bin/crane" ] && return
  say "installing crane $CRANE_VERSION"
  GOBIN="$STATE/bin" GOFLAGS= go install "github.com/google/go-containerregistry/cmd/crane@$CRANE_VERSION" \
    >"$STATE/crane.log" 2>&1 || { tail -n 20 "$STATE/crane.log" >&2; die "crane cannot be installed"; }
}
