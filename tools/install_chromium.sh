#!/bin/sh
# Install Debian's Chromium for tests/browser when there is none and this machine lets us; otherwise go on without:
# those tests are then skipped and say so.
set -u

if [ -n "${CHROMIUM:-}" ] || command -v chromium >/dev/null 2>&1; then
  exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "chromium: none here, and only root with apt-get can install it; tests/browser will be skipped" >&2
  exit 0
fi
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
# An update may fail for one source of several; what counts is whether the installation works.
apt-get update >"$log" 2>&1 || true
if ! apt-get install --yes --no-install-recommends chromium fonts-noto-cjk >>"$log" 2>&1; then
  echo "chromium: it could not be installed; tests/browser will be skipped:" >&2
  tail -n 5 "$log" >&2
fi
rm -f "$log"
