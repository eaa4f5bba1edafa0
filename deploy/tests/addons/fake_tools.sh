#!/bin/sh
# Stands for kubectl and helm, as it is called: notes the call and answers as the program does, with what the installer builds
# on: exit statuses, JSON, and the words that tell errors apart. A shell, because it is started hundreds of times.
#
# The folder $FAKE_TOOLS_DIR: versions/{kubectl,helm,server}, objects/KIND/NAME and releases/NAME (JSON), applied and fails (lines),
# empty (a cluster that knows no kinds), and calls: program, standard input and words, each ended by \037, a call by \036.
room=$FAKE_TOOLS_DIR
program=${0##*/}
input=
for word; do
    [ "$word" = - ] && input=$(/bin/cat)
    last=$word
    [ "$before" = --description ] && description=$word
    before=$word
done
printf '%s\037' "$program" "$input" "$@" >>"$room/calls"
printf '\036' >>"$room/calls"

while read -r failing; do
    for word in "$program" "$@"; do
        if [ "$word" = "$failing" ]; then
            echo "Error: the network is away" >&2
            exit 1
        fi
    done
done <"$room/fails"

[ "$1" = --context ] && shift 2
case "$program $1" in
"kubectl version")
    read -r client <"$room/versions/kubectl"
    read -r server <"$room/versions/server"
    [ "$2" = --client ] && server=
    echo "{\"clientVersion\": {\"gitVersion\": \"$client\"}${server:+, \"serverVersion\": {\"gitVersion\": \"$server\"\}}}"
    ;;
"kubectl get")
    case $2 in */*) name=$2 ;; *) name=$2/$3 ;; esac
    [ -e "$room/objects/$name" ] && /bin/cat "$room/objects/$name"
    exit 0
    ;;
"kubectl diff")
    while read -r applied; do
        [ "$applied" = "$last" ] && exit 0
    done <"$room/applied"
    [ -e "$room/empty" ] || exit 1
    echo 'error: no matches for kind "GatewayClass" in version "gateway.networking.k8s.io/v1"' >&2
    exit 2
    ;;
"kubectl apply") [ "$last" = - ] || echo "$last" >>"$room/applied" ;;
"helm version") /bin/cat "$room/versions/helm" ;;
"helm status")
    if [ ! -e "$room/releases/$2" ]; then
        echo "Error: release: not found" >&2
        exit 1
    fi
    echo "{\"name\": \"$2\", \"info\": $(/bin/cat "$room/releases/$2")}"
    ;;
"helm uninstall") /bin/rm "$room/releases/$2" ;;
"helm rollback") echo '{"status": "deployed", "description": "Rollback to 1"}' >"$room/releases/$2" ;;
"helm upgrade")
    if [ -e "$room/releases/$3" ] && read -r info <"$room/releases/$3"; then
        case $info in
        *pending-*)
            echo "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress" >&2
            exit 1
            ;;
        esac
    fi
    echo "{\"status\": \"deployed\", \"description\": \"$description\"}" >"$room/releases/$3"
    ;;
esac
exit 0
