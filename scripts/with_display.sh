#!/usr/bin/env bash
# Run a command that opens windows: on a virtual display if there is one to be had, so that no window of a test
# steals the keyboard of whoever works on this machine; else on the display there is.
set -euo pipefail

if command -v xvfb-run >/dev/null; then
    # No Wayland socket and no offscreen platform: Qt would take either before the virtual display.
    unset WAYLAND_DISPLAY QT_QPA_PLATFORM
    exec xvfb-run -a -s "-screen 0 1600x1000x24 +extension GLX" "$@"
elif [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || [ "$(uname)" != Linux ]; then
    exec "$@"
fi
echo "with_display: there is no display and no xvfb-run; run 'mmssl doctor' for the line that installs one" >&2
exit 1
