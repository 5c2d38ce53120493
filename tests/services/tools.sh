# Other people's tools that judge what Slipway makes. Of images: skopeo and umoci are Debian's, crane comes as its makers
# offer it. Of the server: schemathesis asks its API, axe-core looks at its pages. Sourced by `up`.

# Debian 12's Go builds it; v0.20 wants a newer Go.
CRANE_VERSION=v0.16.1

SCHEMATHESIS=schemathesis==4.32.5
# Brings axe-core 4.12.1 along; nothing else of it is wanted, so what it depends on stays away.
AXE=axe-playwright-python==0.1.8

tools_up() {
  crane_up
  python_up
}

crane_up() {
  [ "$("$STATE/bin/crane" version 2>/dev/null)" != "$CRANE_VERSION" ] || return 0
  say "installing crane $CRANE_VERSION"
  GOBIN="$STATE/bin" GOFLAGS= go install "github.com/google/go-containerregistry/cmd/crane@$CRANE_VERSION" \
    >"$STATE/crane.log" 2>&1 || { tail -n 20 "$STATE/crane.log" >&2; die "crane cannot be installed"; }
}

# A virtual environment of its own, made anew for other versions; nothing of it is on anybody's path.
python_up() {
  local dir="$STATE/python"
  [ "$(cat "$dir/versions" 2>/dev/null)" != "$SCHEMATHESIS $AXE" ] || return 0
  say "installing $SCHEMATHESIS $AXE"
  rm -rf "$dir"
  {
    /usr/bin/python3 -m venv "$dir" && "$dir/bin/pip" install --quiet "$SCHEMATHESIS" &&
      "$dir/bin/pip" install --quiet --no-deps "$AXE" &&
      cp "$dir"/lib/python3*/site-packages/axe_playwright_python/axe.min.js "$dir/axe.min.js"
  } >"$STATE/python.log" 2>&1 || { tail -n 20 "$STATE/python.log" >&2; die "$SCHEMATHESIS and $AXE cannot be installed"; }
  echo "$SCHEMATHESIS $AXE" >"$dir/versions"
}
