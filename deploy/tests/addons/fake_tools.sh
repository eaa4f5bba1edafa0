#!/bin/sh
# Fake kubectl and helm, selected by the name of the link. Records each call, and returns the exit statuses, JSON and error
# texts that the installer parses. A shell script, because the tests start it hundreds of times.
#
# The folder $FAKE_TOOLS_DIR: versions/{kubectl,helm,server}, objects/KIND/NAME and releases/NAME (JSON), applied and fails (lines),
# empty (a cluster without the add-ons' kinds), kserve-config (the ConfigMap that each upgrade of KServe's chart restores), and
# calls: program, standard input and arguments, each ended by \037, a call by \036.
state_dir=$FAKE_TOOLS_DIR
program=${0##*/}
input=
for argument; do
    [ "$argument" = - ] && input=$(/bin/cat)
    last=$argument
    [ "$previous" = --description ] && description=$argument
    previous=$argument
done
printf '%s\037' "$program" "$input" "$@" >>"$state_dir/calls"
printf '\036' >>"$state_dir/calls"

while read -r failing; do
    for argument in "$program" "$@"; do
        if [ "$argument" = "$failing" ]; then
            echo "Error: connection refused" >&2
            exit 1
        fi
    done
done <"$state_dir/fails"

[ "$1" = --context ] && shift 2
case "$program $1" in
"kubectl version")
    read -r client <"$state_dir/versions/kubectl"
    read -r server <"$state_dir/versions/server"
    [ "$2" = --client ] && server=
    echo "{\"clientVersion\": {\"gitVersion\": \"$client\"}${server:+, \"serverVersion\": {\"gitVersion\": \"$server\"\}}}"
    ;;
"kubectl get")
    case $2 in */*) name=$2 ;; *) name=$2/$3 ;; esac
    [ -e "$state_dir/objects/$name" ] && /bin/cat "$state_dir/objects/$name"
    exit 0
    ;;
"kubectl diff")
    while read -r applied; do
        [ "$applied" = "$last" ] && exit 0
    done <"$state_dir/applied"
    [ -e "$state_dir/empty" ] || exit 1
    echo 'error: no matches for kind "GatewayClass" in version "gateway.networking.k8s.io/v1"' >&2
    exit 2
    ;;
"kubectl apply") [ "$last" = - ] || echo "$last" >>"$state_dir/applied" ;;
"kubectl patch") printf "%s\n" "$last" >"$state_dir/objects/$2/$3" ;;
"helm version") /bin/cat "$state_dir/versions/helm" ;;
"helm status")
    if [ ! -e "$state_dir/releases/$2" ]; then
        echo "Error: release: not found" >&2
        exit 1
    fi
    echo "{\"name\": \"$2\", \"info\": $(/bin/cat "$state_dir/releases/$2")}"
    ;;
"helm uninstall") /bin/rm "$state_dir/releases/$2" ;;
"helm rollback") echo '{"status": "deployed", "description": "Rollback to 1"}' >"$state_dir/releases/$2" ;;
"helm upgrade")
    if [ -e "$state_dir/releases/$3" ] && read -r info <"$state_dir/releases/$3"; then
        case $info in
        *pending-*)
            echo "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress" >&2
            exit 1
            ;;
        esac
    fi
    echo "{\"status\": \"deployed\", \"description\": \"$description\"}" >"$state_dir/releases/$3"
    [ "$3" = kserve ] && /bin/cat "$state_dir/kserve-config" >"$state_dir/objects/configmap/inferenceservice-config"
    ;;
esac
exit 0
