#!/bin/sh
# What the tests need and a machine may lack, by the platform's package manager. Says what it could not get;
# the tests that need it are then skipped with that reason.
set -u
missing=
command -v bwrap >/dev/null || missing="$missing bubblewrap"
command -v redis-server >/dev/null || missing="$missing redis-server"
command -v chromium >/dev/null || missing="$missing chromium"
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing="$missing nginx"
ldconfig -p 2>/dev/null | grep -q 'libseccomp\.so\.2' || missing="$missing libseccomp2"
[ -n "$missing" ] || exit 0

as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
if command -v apt-get >/dev/null; then
    echo "Installing$missing"
    $as_root apt-get update -qq && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing >/dev/null
elif command -v dnf >/dev/null; then
    $as_root dnf install -y -q $(echo "$missing" | sed 's/redis-server/redis/; s/libseccomp2/libseccomp/')
else
    false
fi || echo "Could not install$missing: the tests that need them will be skipped"
exit 0
