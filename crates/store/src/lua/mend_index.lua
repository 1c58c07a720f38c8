--- mend_index: looks at entries of an index again, as `examine_index` does, and mends what it finds in the same step.
-- Promises: NO-LOST-TEST, LIMITS-HOLD, NOTIFY-ONCE-PLUS, NO-LEAK
-- Flags: allow-oom
-- Keys: run run:owners run:results aside baseline baselines bell clock config configs control control:attempts control:owners lingering
--   wakes ready:endpoints fleet endpoint:waiting endpoint:tenants endpoint:lingering endpoint:history paused mails
--   dead dead:jobs endpoint endpoint:slots endpoints leases outbox quarantine quarantine:reasons submission worker
--   worker:jobs workers model
-- ARGV: 1 the index; 2 whose it is, or ''; 3 where to begin, '0' at first; 4 how many
-- Answers: as `examine_index`; what can be mended has been
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
--@include examining_index
local cursor, entries = examine_index(ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]))
mend_findings()
return answer_findings({ cursor, entries })
