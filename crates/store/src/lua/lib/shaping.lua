-- Runs whose tests depend on each other or belong to groups. They give everything out from `again`. A test with dependencies
-- is in `waits` until each of them has its result; one whose group is full waits in the list of its group.

-- Of the indices taken from `again`, those that may begin; the rest is put aside. Also answers, in pairs, which of them have a
-- dependency that did not pass.
local function admit_shaped(run, indices)
  if #indices == 0 then return indices, {} end
  local unmet = {}
  for i, dependency in ipairs(redis.call('HMGET', run_key(run, 'unmet'), unpack(indices))) do
    if dependency then unmet[#unmet + 1], unmet[#unmet + 2] = indices[i], dependency end
  end
  if redis.call('EXISTS', run_key(run, 'grouped')) == 0 then return indices, unmet end
  local admitted = {}
  for i, group in ipairs(redis.call('HMGET', run_key(run, 'grouped'), unpack(indices))) do
    local most = group and tonumber(redis.call('HGET', run_key(run, 'groups'), group))
    if most and redis.call('SCARD', group_key(run, group, 'slots')) >= most then
      redis.call('RPUSH', group_key(run, group, 'waiting'), indices[i])
    else
      if most then redis.call('SADD', group_key(run, group, 'slots'), indices[i]) end
      admitted[#admitted + 1] = indices[i]
    end
  end
  return admitted, unmet
end

-- The room that a test leaves in its group is for the one that waits longest for it.
local function leave_group(run, index)
  local group = redis.call('HGET', run_key(run, 'grouped'), index)
  if not group or redis.call('SREM', group_key(run, group, 'slots'), index) == 0 then return end
  local next_one = redis.call('LPOP', group_key(run, group, 'waiting'))
  if next_one then redis.call('LPUSH', run_key(run, 'again'), next_one) end
end

-- What the first terminal result of a test means for those that depend on it. In a Sequential run they come after it anyway.
-- One that is to run whatever came of its dependencies has an `a` before its count.
local function release_dependents(run, index, passed, mode)
  local dependents = redis.call('HGET', run_key(run, 'dependents'), index)
  if not dependents then return end
  for dependent in string.gmatch(dependents, '%d+') do
    local left = redis.call('HGET', run_key(run, 'waits'), dependent)
    local always, count = string.match(left or '', '^(a?)(%d+)$')
    if count then
      if not passed and always == '' then
        redis.call('HSETNX', run_key(run, 'unmet'), dependent, index)
        count = 1
      end
      if tonumber(count) > 1 then
        redis.call('HSET', run_key(run, 'waits'), dependent, always .. whole(tonumber(count) - 1))
      else
        redis.call('HDEL', run_key(run, 'waits'), dependent)
        if mode ~= 'Sequential' then redis.call('RPUSH', run_key(run, 'again'), dependent) end
      end
    end
  end
end

-- In a run that is tried again, who waits for whom: for those that are tried again too. What a dependency came to that is not
-- is known: what did not pass is kept, unless it was left out.
local function arrange_again(run, mode)
  -- Groups and an order are found again as they are.
  if redis.call('EXISTS', run_key(run, 'needs')) == 0 then return end
  local chosen = redis.call('LRANGE', run_key(run, 'again'), 0, -1)
  local ready = {}
  for _, index in ipairs(chosen) do
    local always, needed = string.match(redis.call('HGET', run_key(run, 'needs'), index) or '', '^(a?)|(.*)$')
    local left, unmet = 0, nil
    for dependency in string.gmatch(needed or '', '%d+') do
      if redis.call('HEXISTS', run_key(run, 'results'), dependency) == 0 then left = left + 1
      elseif redis.call('HEXISTS', run_key(run, 'kept'), dependency) == 1
        or string.find(redis.call('HGET', run_key(run, 'results'), dependency), '"status":"Skipped"', 1, true) then
        unmet = unmet or dependency
      end
    end
    if unmet and always == '' then
      redis.call('HSET', run_key(run, 'unmet'), index, unmet)
      left = 0
    end
    if left > 0 then redis.call('HSET', run_key(run, 'waits'), index, always .. whole(left)) end
    if left == 0 or mode == 'Sequential' then ready[#ready + 1] = index end
  end
  redis.call('DEL', run_key(run, 'again'))
  for i = 1, #ready, 1000 do
    redis.call('RPUSH', run_key(run, 'again'), unpack(ready, i, math.min(i + 999, #ready)))
  end
end

-- Nothing is in flight: whoever waits for room in a group has it. Our transitions leave nobody there, a lost key may.
local WAKE_OF_GROUPS_AT_MOST = 1000
local function wake_groups(run)
  local woken = 0
  for _, group in ipairs(redis.call('HKEYS', run_key(run, 'groups'))) do
    redis.call('DEL', group_key(run, group, 'slots'))
    local next_one = redis.call('LPOP', group_key(run, group, 'waiting'))
    while next_one do
      redis.call('RPUSH', run_key(run, 'again'), next_one)
      woken = woken + 1
      -- The rest with the next sweep, or when these are done.
      if woken == WAKE_OF_GROUPS_AT_MOST then return end
      next_one = redis.call('LPOP', group_key(run, group, 'waiting'))
    end
  end
end

-- What is in flight and what waits in the groups of a run that ends.
local function forget_groups(run)
  for _, group in ipairs(redis.call('HKEYS', run_key(run, 'groups'))) do
    redis.call('UNLINK', group_key(run, group, 'slots'), group_key(run, group, 'waiting'))
  end
end

-- The shape of a run that never began.
local function forget_shape(run)
  forget_groups(run)
  redis.call('UNLINK', run_key(run, 'again'), run_key(run, 'needs'), run_key(run, 'waits'), run_key(run, 'unmet'),
    run_key(run, 'dependents'), run_key(run, 'groups'), run_key(run, 'grouped'))
end

-- Tests that wait for others of their run, or for room in their group.
local function count_shaped(run, mode)
  local count = mode == 'Sequential' and 0 or redis.call('HLEN', run_key(run, 'waits'))
  for _, group in ipairs(redis.call('HKEYS', run_key(run, 'groups'))) do
    count = count + redis.call('LLEN', group_key(run, group, 'waiting'))
  end
  return count
end
