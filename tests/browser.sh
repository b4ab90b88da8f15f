#!/bin/sh
# A browser for the tests of the benchmark's page. Where they cannot have one they are skipped, and say so.
set -eu
has() { command -v "$1" >/dev/null 2>&1; }
if has chromedriver && { has chromium || has chromium-browser || has google-chrome; }; then
  exit 0
fi
missing="no browser: the benchmark's page is not tested in one; install the packages chromium and chromium-driver"
# Only root may install, which in practice is a container; it takes half a minute.
if [ "$(id -u)" != 0 ] || ! has apt-get; then
  echo "$missing"
  exit 0
fi
echo "no browser: installing the packages chromium and chromium-driver"
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium chromium-driver; } >/dev/null; then
  echo "$missing"
fi
