# Sourced by with-broker.sh, with-etcd.sh, with-moto.sh and with-registry.sh: a server in a folder of its own beside a command, and the end of both.
#
#   begin NAME        makes the folder $work and the file $started in it, where what is started is noted: a line `PID FOLDER` a server. From
#                     here on everything ends with the script, also on Ctrl-C and on a failure, servers that the command has started too
#   on_free_port CMD  runs CMD with a free port behind it until it succeeds, three times at most; the port is in $port
#   beside CMD        runs the command and exits with its exit code
#
# Who sources it defines is_its ARGS FOLDER, whether a command line is that of a server in that folder; and keep CODE, if something is to
# be kept of a failed run.

begin() {
  work=$(mktemp -d "${TMPDIR:-/tmp}/dray-$1.XXXXXX")
  child='' started="$work/started"
  : >"$started"
  trap end EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

end() {
  local code=$? pid folder
  trap '' INT TERM HUP # a second Ctrl-C must not leave servers behind
  trap - EXIT
  if [ -n "$child" ]; then # its whole process group: asked first, then made to. What is in it may have servers of its own to end.
    kill -TERM -- "-$child" 2>/dev/null || true
    for _ in $(seq 1 100); do kill -0 -- "-$child" 2>/dev/null || break; sleep 0.1; done
    kill -KILL -- "-$child" 2>/dev/null || true
  fi
  if [ "$(type -t keep)" = function ]; then keep "$code"; fi
  while read -r pid folder; do
    # A test may have removed the folder of its server, pid file and all. The command line tells whether the pid is still that one.
    if is_its "$({ tr '\0' ' ' <"/proc/$pid/cmdline" || ps -ww -p "$pid" -o args=; } 2>/dev/null)" "$folder"; then
      kill -KILL "$pid" 2>/dev/null || true
    fi
  done <"$started"
  rm -rf "$work" 2>/dev/null || { sleep 1; rm -rf "$work"; } # one that is just ending may still write
  exit "$code"
}

on_free_port() {
  local attempt
  for attempt in 1 2 3; do # a free port can be taken before the server has it
    port=$("$here/kafka.sh" freeport)
    if "$@" "$port"; then return; fi
    [ "$attempt" != 3 ] || exit 1
  done
}

beside() {
  # In a process group of its own, and waited for: a signal to this script is acted on at once, and reaches everything the command started.
  set -m
  "$@" </dev/null &
  child=$!
  set +m
  local code=0
  wait "$child" || code=$?
  exit "$code"
}
