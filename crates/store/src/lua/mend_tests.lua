--- mend_tests: looks at tests again, as `examine_tests` does, and mends what it finds in the same step.
-- Promises: NO-LOST-TEST, RESULT-IDEMPOTENT
-- Flags: allow-oom
-- Keys: run run:again run:config run:countdown run:dialogues run:kept run:owners run:results run:summary run:tests
--   run:tries bell clock delayed endpoint:slots leases paused worker:jobs endpoint endpoint:lingering endpoint:tenants
--   endpoint:waiting fleet ready:endpoints run:group run:grouped run:groups run:waits wakes
-- ARGV: 1 run id; 2 the first index; 3 how many (at most 500)
-- Answers: as `examine_tests`; what can be mended has been
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
--@include examining_tests
examine_tests(ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
mend_findings()
return answer_findings({})
