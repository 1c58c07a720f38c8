--- mend_run: looks at one run again, as `examine_run` does, and mends what it finds in the same step.
-- Promises: COUNTDOWN-EXACT, NO-LOST-TEST, LIMITS-HOLD, COLLECT-ONCE, NO-LEAK
-- Flags: allow-oom
-- Keys: run run:again run:config run:countdown run:dialogues run:kept run:owners run:results run:summary run:tests
--   run:tries aside bell clock control control:attempts control:owners wakes run:waits run:unmet run:needs run:groups
--   run:grouped run:group run:dependents ready:endpoints fleet endpoint:waiting endpoint:tenants endpoint:lingering
--   endpoint:history endpoint mails dead dead:jobs deadlines delayed endpoint:slots endpoints leases outbox paused
--   quarantine quarantine:reasons runs worker:jobs workers
-- ARGV: 1 run id; 2 retention ms of an ended run
-- Answers: as `examine_run`; what can be mended has been
--@include keys
--@include time
--@include bell
--@include admission
--@include placing
--@include shaping
--@include holding
--@include lane
--@include counting
--@include closing
--@include spending
--@include damage
--@include delaying
--@include repairing
--@include examining
--@include examining_run
local state = examine_run(ARGV[1], ARGV[2])
mend_findings()
local total = redis.pcall('HGET', run_key(ARGV[1]), 'total')
return answer_findings({ state, needs_tests_looked_at and 1 or 0, is_whole(total, 0) and total or '0' })
