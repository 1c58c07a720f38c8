--- checkpoint: keeps where a dialogue is, for whoever goes on with its test. It replaces what was kept before, and goes with
-- the test's result.
-- Promises: ZOMBIE-HARMLESS, NO-LEAK
-- Flags: none
-- Keys: run run:owners run:dialogues
-- ARGV: 1 worker incarnation; 2 run id; 3 index; 4 fence; 5 where the dialogue is
-- Answers: kept | lost | closed (state) | unknown
--@include keys
--@include time
--@include admission
--@include placing
--@include shaping
--@include holding
local worker, run, index = ARGV[1], ARGV[2], ARGV[3]
local state = redis.call('HGET', run_key(run), 'state')
if not state then return { 'unknown' } end
if not holds(redis.call('HGET', run_key(run, 'owners'), index), worker, ARGV[4]) then return { 'lost' } end
if not is_open(state) then return { 'closed', state } end
redis.call('HSET', run_key(run, 'dialogues'), index, ARGV[5])
-- Whoever stores a result looks for it only in a run that has some.
redis.call('HSET', run_key(run), 'dialogues', '1')
return { 'kept' }
