# Other people's tools that read what Slipway assembles: skopeo and umoci are Debian's, crane comes as its makers offer
# it. Sourced by `up`.

# Debian 12's Go builds it; v0.20 wants a newer Go.
CRANE_VERSION=v0.16.1

tools_up() {
  [ "$("$STATE/bin/crane" version 2>/dev/null)" != "$CRANE_VERSION" ] || return 0
  say "installing crane $CRANE_VERSION"
  GOBIN="$STATE/bin" GOFLAGS= go install "github.com/google/go-containerregistry/cmd/crane@$CRANE_VERSION" \
    >"$STATE/crane.log" 2>&1 || { tail -n 20 "$STATE/crane.log" >&2; die "crane cannot be installed"; }
}
