--- examine_tests: which tests of a run are in no place or in two, or have lost their payload. Writes nothing.
-- Promises: NO-LOST-TEST, RESULT-IDEMPOTENT
-- Flags: no-writes
-- Keys: run run:again run:config run:countdown run:kept run:owners run:results run:summary run:tests run:tries bell
--   clock delayed endpoint:parked endpoint:slots leases paused ready worker:jobs
-- ARGV: 1 run id; 2 the first index; 3 how many (at most 1000)
-- Answers: per finding: code, subject, detail, 1 when it can be mended
--@include keys
--@include time
--@include bell
--@include placing
--@include holding
--@include closing
--@include counting
--@include damage
--@include repairing
--@include examining
--@include examining_tests
examine_tests(ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
return answer_findings({})
