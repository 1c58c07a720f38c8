--- extend: moves the hard deadline of one job that its holder still works on.
-- Promises: ZOMBIE-HARMLESS
-- Flags: allow-oom
-- Keys: run:owners control:owners leases
-- ARGV: 1 worker incarnation; 2 job id; 3 fence; 4 ms from now
-- Answers: extended | lost
--@include keys
--@include time
--@include admission
--@include placing
--@include shaping
--@include holding
local job = ARGV[2]
local run, index = split_job(job)
local held
if run then held = redis.call('HGET', run_key(run, 'owners'), index)
else held = redis.call('HGET', key('control:owners'), job) end
if not holds(held, ARGV[1], ARGV[3]) then return { 'lost' } end
redis.call('ZADD', key('leases'), 'XX', whole(now + tonumber(ARGV[4])), job)
return { 'extended' }
