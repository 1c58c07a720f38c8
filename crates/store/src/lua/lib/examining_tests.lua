-- Tests one by one: each in exactly one place, and with a payload as long as it has no result.
-- Back among those that wait, in the order of a Sequential run.
local function adopt_test(run, index, mode)
  if mode == 'Sequential' then
    for _, other in ipairs(redis.call('LRANGE', run_key(run, 'again'), 0, -1)) do
      if tonumber(other) > tonumber(index) then
        redis.call('LINSERT', run_key(run, 'again'), 'BEFORE', other, index)
        return
      end
    end
  end
  redis.call('RPUSH', run_key(run, 'again'), index)
end

local function examine_tests(run, first, count)
  local state, endpoint, total, next_index, mode, damage =
    unpack(redis.call('HMGET', run_key(run), 'state', 'endpoint', 'total', 'next', 'mode', 'damage'))
  if not is_live(state) or diagnose(run) or not is_whole(total, 1) or not is_whole(next_index, 0) then return end
  local last = math.min(first + count, tonumber(total)) - 1
  if last < first then return end
  local indices, jobs = {}, {}
  for index = first, last do
    indices[#indices + 1] = whole(index)
    jobs[#jobs + 1] = job_id(run, whole(index))
  end
  local payloads = redis.call('HMGET', run_key(run, 'tests'), unpack(indices))
  local owners = redis.call('HMGET', run_key(run, 'owners'), unpack(indices))
  local delays = redis.call('ZMSCORE', key('delayed'), unpack(jobs))
  local waiting = {}
  for _, index in ipairs(redis.call('LRANGE', run_key(run, 'again'), 0, -1)) do waiting[index] = true end
  -- In a run with a shape, also for others, or for room in a group.
  if mode ~= 'Sequential' then
    for _, index in ipairs(redis.call('HKEYS', run_key(run, 'waits'))) do waiting[index] = true end
  end
  for _, group in ipairs(redis.call('HKEYS', run_key(run, 'groups'))) do
    for _, index in ipairs(redis.call('LRANGE', group_key(run, group, 'waiting'), 0, -1)) do waiting[index] = true end
  end
  for i, index in ipairs(indices) do
    local done = redis.call('HEXISTS', run_key(run, 'results'), index) == 1
    if done and payloads[i] then
      report('payload-left', jobs[i], 'it has its result and its payload is still there', function()
        redis.call('HDEL', run_key(run, 'tests'), index)
      end)
    elseif not done and not payloads[i] and not damage then
      report('payload-lost', jobs[i], 'it has no result and its payload is gone', function()
        -- An empty payload is one that a worker refuses with a sentence.
        redis.call('HSET', run_key(run, 'tests'), index, redis.call('HGET', run_key(run, 'kept'), index) or '')
      end)
    end
    if is_open(state) or state == 'reopening' then
      local fresh = tonumber(index) >= tonumber(next_index)
      if delays[i] and (done or owners[i] or waiting[index] or fresh) then
        report('test-twice', jobs[i], 'it waits for another attempt and is elsewhere too', function()
          redis.call('ZREM', key('delayed'), jobs[i])
        end)
      elseif owners[i] and fresh then
        report('test-twice', jobs[i], 'it is held before its turn', function()
          local owner = read_owner(owners[i])
          if owner then free(run, index, owner.worker, endpoint) end
        end)
      elseif not (done or owners[i] or delays[i] or waiting[index] or fresh) then
        report('test-lost', jobs[i], 'it has no result and nobody will try it', function()
          adopt_test(run, index, mode)
          if is_open(state) then place(run, endpoint) ring() end
        end)
      end
    end
  end
end
