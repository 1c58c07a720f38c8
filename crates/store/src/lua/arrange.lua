--- arrange: stores a chunk of the shape of a run that is still private: the order its tests are given out in, which of them
-- wait for which, and their groups. Repeatable: the same chunk twice changes nothing. `activate` checks that all are there.
-- Promises: SUBMIT-ATOMIC
-- Flags: none
-- Keys: run run:again run:needs run:waits run:dependents run:groups run:grouped deadlines
-- ARGV: 1 run id; 2 staging timeout ms; 3 what it is: `order` (4 how many come before; 5 digest of the whole order; then
--   indices), `needs` (then index, dependencies as `1,2`, `a` to run whatever came of them or ''), `dependents` (then
--   index, dependents as `1,2`), `groups` (then group, tests in flight at most) or `grouped` (then index, group); at most
--   2000 values
-- Answers: arranged | unknown | closed (state)
--@include keys
--@include time
local run, kind = ARGV[1], ARGV[3]
local state = redis.call('HGET', run_key(run), 'state')
if not state then return { 'unknown' } end
if state ~= 'preparing' then return { 'closed', state } end
redis.call('HSET', run_key(run), 'shaped', '1')
redis.call('ZADD', key('deadlines'), whole(now + tonumber(ARGV[2])), run)
if kind == 'order' then
  -- Another order than the one begun with, of a submission that goes on after it died, or of a second one: it begins anew, and
  -- what is still sent of the other changes nothing.
  if ARGV[4] == '0' and redis.call('HGET', run_key(run), 'order') ~= ARGV[5] then
    redis.call('DEL', run_key(run, 'again'))
    redis.call('HSET', run_key(run), 'order', ARGV[5])
  end
  local is_next = redis.call('LLEN', run_key(run, 'again')) == tonumber(ARGV[4])
    and redis.call('HGET', run_key(run), 'order') == ARGV[5]
  if is_next and #ARGV > 5 then redis.call('RPUSH', run_key(run, 'again'), unpack(ARGV, 6)) end
elseif kind == 'needs' then
  for at = 4, #ARGV, 3 do
    local _, count = string.gsub(ARGV[at + 1], '%d+', '')
    redis.call('HSET', run_key(run, 'needs'), ARGV[at], ARGV[at + 2] .. '|' .. ARGV[at + 1])
    redis.call('HSET', run_key(run, 'waits'), ARGV[at], ARGV[at + 2] .. whole(count))
  end
elseif #ARGV > 3 then
  if kind == 'dependents' then redis.call('HSET', run_key(run, 'dependents'), unpack(ARGV, 4))
  elseif kind == 'groups' then redis.call('HSET', run_key(run, 'groups'), unpack(ARGV, 4))
  elseif kind == 'grouped' then redis.call('HSET', run_key(run, 'grouped'), unpack(ARGV, 4)) end
end
return { 'arranged' }
