#!/bin/bash
# Ships lines through a broker with the configurations of this folder, kills the broker twice on the way (SIGKILL), and
# counts what came out at the other end.
#
#   examples/try.sh rsyslog [LINES]        needs: rsyslog rsyslog-kafka
#   examples/try.sh syslog-ng [LINES]      needs: syslog-ng-core syslog-ng-mod-rdkafka kcat
#
# TAILRACE is the broker (default: target/release/tailrace, or target/debug/tailrace), PORT its port (default: 19092),
# KEEP=1 keeps the folder. Nothing of this machine's own logging is touched; no root is needed.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
what=${1:-}
lines=${2:-1000000}
port=${PORT:-19092}
broker_binary=${TAILRACE:-}
for built in "$here"/../target/{release,debug}/tailrace; do
  if [ -z "$broker_binary" ] && [ -x "$built" ]; then broker_binary=$built; fi
done
case $what in rsyslog | syslog-ng) ;; *) sed -n '2,10s/^# \?//p' "$0" >&2; exit 2 ;; esac
[ -x "$broker_binary" ] || { echo "no broker: cargo build --release, or set TAILRACE" >&2; exit 2; }

work=$(mktemp -d "${TMPDIR:-/tmp}/tailrace-try.XXXXXX")
mkdir "$work/spool"
in=$work/app.log out=$work/collected.log
broker='' shippers=()

stop() {
  for pid in "${shippers[@]}" $broker; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  [ "${KEEP:-}" = 1 ] && echo "kept: $work" || rm -rf "$work"
}
trap stop EXIT

start_broker() {
  "$broker_binary" serve --data "$work/data" --listen "127.0.0.1:$port" 2>>"$work/broker.err" &
  broker=$!
  for _ in $(seq 300); do
    "$broker_binary" topic list -b "127.0.0.1:$port" >/dev/null 2>&1 && return
    kill -0 $broker 2>/dev/null || break
    sleep 0.1
  done
  echo "the broker does not serve:" >&2; cat "$work/broker.err" >&2; exit 1
}

kill_broker() {
  kill -9 $broker
  wait $broker 2>/dev/null || true
  echo "$(date +%T) broker killed with $(count "$out") lines collected"
  sleep 2
  start_broker
  echo "$(date +%T) broker serves again"
}

# A configuration of this folder, at other places.
placed() {
  sed -e "s#127\.0\.0\.1:9092#127.0.0.1:$port#g" -e "s#/var/log/app/\*\.log#$in#; s#/var/log/app/app\.log#$in#" \
    -e "s#/var/log/collected\.log#$out#" -e "s#/var/spool/rsyslog#$work/spool#; s#/var/lib/syslog-ng#$work/spool#" \
    "$here/$1"
}

run_rsyslog() {
  local side
  for side in ship collect; do
    mkdir "$work/$side"
    { echo "global(workDirectory=\"$work/$side\" maxMessageSize=\"64k\")"; placed "rsyslog-$side.conf"; } \
      >"$work/$side.conf"
    rsyslogd -n -f "$work/$side.conf" -i "$work/$side.pid" 2>>"$work/$side.err" &
    shippers+=($!)
  done
}

run_syslog_ng() {
  local side
  for side in ship collect; do
    placed "syslog-ng-$side.conf" >"$work/$side.conf"
    ${SYSLOG_NG:-syslog-ng} --foreground --no-caps -f "$work/$side.conf" --persist-file "$work/$side.persist" \
      --pidfile "$work/$side.pid" --control "$work/$side.ctl" 2>>"$work/$side.err" &
    shippers+=($!)
  done
}

count() { if [ -e "$1" ]; then wc -l <"$1"; else echo 0; fi; }

# Waits until so many lines are there, as long as there are more from time to time.
collected() {
  local seen=0 now quiet=0
  while now=$(count "$out"); [ "$now" -lt "$1" ]; do
    if [ "$now" -gt "$seen" ]; then quiet=0; seen=$now; else quiet=$((quiet + 1)); fi
    [ $quiet -lt 1200 ] || return 1
    sleep 0.1
  done
}

# How many of the lines are not in a file, and how many are there more than once.
lost_and_twice() {
  awk -v lines="$lines" '
    match($0, /line [0-9]+ /) { seen[substr($0, RSTART + 5, RLENGTH - 6) + 0]++ }
    END {
      for (i = 1; i <= lines; i++) if (i in seen) twice += seen[i] - 1; else lost++
      print lost + 0, "lost,", twice + 0, "twice"
    }'
}

start_broker
"$broker_binary" topic create logs --partitions 4 -b "127.0.0.1:$port"
: >"$in"
if [ "$what" = rsyslog ]; then run_rsyslog; else run_syslog_ng; fi
began=$(date +%s.%N)
# In the background, as a program writes its log, a little faster than any of the two ships it.
seq -f 'line %.0f of a program that has something to say about each of its requests' 1 "$lines" >>"$in" &
collected $((lines / 3)) && kill_broker
collected $((lines * 2 / 3)) && kill_broker
collected "$lines" || echo "no more lines come"
# Duplicates may hide lines that are still on their way: until it is quiet for a while.
before=-1
while now=$(count "$out"); [ "$now" != $before ]; do before=$now; sleep 3; done
seconds=$(echo "$(date +%s.%N) $began" | awk '{printf "%.0f", $1 - $2 - 3}')

stored=$("$broker_binary" consume logs -o beginning -e -q -b "127.0.0.1:$port" | lost_and_twice)
collected=$(lost_and_twice <"$out")
echo "$what: $lines lines in $seconds s, broker killed twice: $stored in the topic; $collected at the end"
[ "${stored%% *}" = 0 ] && [ "${collected%% *}" = 0 ]
