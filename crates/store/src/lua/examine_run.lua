--- examine_run: what is not as it has to be with one run. Writes nothing.
-- Promises: COUNTDOWN-EXACT, NO-LOST-TEST, LIMITS-HOLD, COLLECT-ONCE, NO-LEAK
-- Flags: no-writes
-- Keys: run run:again run:config run:countdown run:kept run:owners run:results run:summary run:tests run:tries aside
--   bell clock control control:attempts control:owners endpoint mails dead dead:jobs deadlines delayed
--   endpoint:parked endpoint:slots endpoints leases outbox paused quarantine quarantine:reasons ready runs
--   worker:jobs workers
-- ARGV: 1 run id
-- Answers: its state, `gone`, `damaged` or `quarantined`; 1 when its tests have to be looked at one by one; its total; then
--   per finding: code, subject, detail, 1 when it can be mended
--@include keys
--@include lane
--@include time
--@include bell
--@include placing
--@include holding
--@include closing
--@include counting
--@include damage
--@include delaying
--@include repairing
--@include examining
--@include examining_run
local state = examine_run(ARGV[1], '0')
local total = redis.pcall('HGET', run_key(ARGV[1]), 'total')
return answer_findings({ state, needs_tests_looked_at and 1 or 0, is_whole(total, 0) and total or '0' })
