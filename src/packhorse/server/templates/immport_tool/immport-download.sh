#!/bin/bash
# Downloads the paths of a manifest (one a line) with curl and packhorse-ascp. Part of Packhorse; see README.txt.
set -euo pipefail

usage() { echo "usage: immport-download.sh USER MANIFEST" >&2; exit 2; }
[ $# -eq 2 ] || usage
user=$1 manifest=$2
: "${IMMPORT_TOKEN_URL:?set it to https://YOUR-SERVER/auth/token}"
: "${IMMPORT_DATA_API_BASE_URL:?set it to https://YOUR-SERVER/data}"
[ -r "$manifest" ] || { echo "there is no manifest $manifest" >&2; exit 1; }
password=${IMMPORT_PASSWORD:-}
if [ -z "$password" ]; then read -rsp "Password of $user: " password; echo >&2; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# the password goes through standard input: the arguments of curl can be seen by everybody on this machine
printf '%s' "$password" >"$work/password"
token=$(curl -sS --data-urlencode "username=$user" --data-urlencode "password@$work/password" "$IMMPORT_TOKEN_URL" |
  sed -n 's/^"access_token":"\(.*\)",$/\1/p')
rm -f "$work/password"
[ -n "$token" ] || { echo "Bad credentials" >&2; exit 1; }

joint='{"paths": ['
: >"$work/pairs"
while IFS= read -r path || [ -n "$path" ]; do
  path=${path#/}
  [ -n "$path" ] || continue
  quoted=${path//\\/\\\\}
  quoted=${quoted//\"/\\\"}
  printf '%s"%s"' "$joint" "$quoted"
  joint=', '
  printf '%s\n./%s\n' "$path" "$path" >>"$work/pairs"
done <"$manifest" >"$work/body"
[ "$joint" = ', ' ] || { echo "the manifest $manifest names no file" >&2; exit 1; }
printf ']}' >>"$work/body"

printf 'Authorization: bearer %s\n' "$token" >"$work/header"
answer=$(curl -sS -H "@$work/header" -H 'Content-Type: application/json' --data-binary "@$work/body" \
  "$IMMPORT_DATA_API_BASE_URL/download/token")
ASPERA_SCP_TOKEN=$(sed -n 's/.*"token" *: *"\([^"]*\)".*/\1/p' <<<"$answer")
if [ -z "$ASPERA_SCP_TOKEN" ]; then
  sed -n 's/.*"message" *: *"\(.*\)".*/\1/p' <<<"$answer" >&2
  exit 1
fi
export ASPERA_SCP_TOKEN
exec_ascp=${PACKHORSE_ASCP:-packhorse-ascp}
"$exec_ascp" -p --mode=recv --user=databrowser --host=localhost --file-pair-list="$work/pairs" .
