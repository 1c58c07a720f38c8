--- mend_counts: writes the counts of a run's results anew, as whoever read all of them found them.
-- Promises: ONE-TRUTH
-- Flags: allow-oom
-- Keys: run run:results
-- ARGV: 1 run id; 2 results that were read; 3… status, count pairs
-- Answers: counted | moved (results stored by now)
--@include keys
local run = ARGV[1]
local stored = redis.call('HLEN', run_key(run, 'results'))
if stored ~= tonumber(ARGV[2]) then return { 'moved', stored } end
for _, status in ipairs({ 'Pass', 'Fail', 'Inconclusive', 'Error', 'Cancelled', 'NotRun', 'Skipped' }) do
  redis.call('HDEL', run_key(run), 'count:' .. status)
end
for at = 3, #ARGV, 2 do redis.call('HSET', run_key(run), 'count:' .. ARGV[at], ARGV[at + 1]) end
return { 'counted' }
