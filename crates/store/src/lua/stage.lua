--- stage: stores a chunk of tests of a run that is still private. Repeatable: the same chunk twice changes nothing.
-- Promises: SUBMIT-ATOMIC
-- Flags: none
-- Keys: run run:tests deadlines
-- ARGV: 1 run id; 2 staging timeout ms; 3… index, payload pairs (at most 2000 pairs)
-- Answers: staged (tests staged so far) | unknown | closed (state)
--@include keys
--@include time
local run = ARGV[1]
local state = redis.call('HGET', run_key(run), 'state')
if not state then return { 'unknown' } end
if state ~= 'preparing' then return { 'closed', state } end
if #ARGV > 2 then redis.call('HSET', run_key(run, 'tests'), unpack(ARGV, 3)) end
redis.call('ZADD', key('deadlines'), whole(now + tonumber(ARGV[2])), run)
return { 'staged', redis.call('HLEN', run_key(run, 'tests')) }
