-- Choosing what to work on: control jobs first (their lane never waits behind tests), then tests of the ready
-- runs by virtual time, within the room of the run and of its endpoint.
local CONTROL_LEASE_MS = 60000
local LOOK_AT_MOST = 64
local PASS_OVER_AT_MOST = 256
local PROMOTE_AT_MOST = 200

local function promote(run, index)
  local state, endpoint, mode = unpack(redis.call('HMGET', run_key(run), 'state', 'endpoint', 'mode'))
  if is_open(state) then
    -- The one that waited is the first in the order of a Sequential run.
    redis.call(mode == 'Sequential' and 'LPUSH' or 'RPUSH', run_key(run, 'again'), index)
    place(run, endpoint)
  end
end
-- Retries whose time has come go back to their runs.
local function promote_due()
  local due = redis.call('ZRANGE', key('delayed'), '-inf', whole(now), 'BYSCORE', 'LIMIT', 0, PROMOTE_AT_MOST)
  for _, job in ipairs(due) do
    local run, index = split_job(job)
    if run then guarded(run, promote, run, index) end
  end
  if #due > 0 then redis.call('ZREM', key('delayed'), unpack(due)) end
end

-- A count that is none begins anew.
local function count_attempt(job)
  local attempt = redis.pcall('HINCRBY', key('control:attempts'), job, 1)
  if type(attempt) == 'number' then return attempt end
  redis.call('HSET', key('control:attempts'), job, '1')
  return 1
end

-- Collections first. One place is theirs alone: mails that hang must not fill all of them.
local function claim_control(worker, want)
  local answer = {}
  if want < 1 then return answer end
  local due = redis.call('ZRANGE', key('control'), '-inf', whole(now), 'BYSCORE', 'LIMIT', 0, want)
  if #due > 0 then redis.call('ZREM', key('control'), unpack(due)) end
  local left = want - math.max(#due, 1)
  if left > 0 then
    local mails = redis.call('ZRANGE', key('mails'), '-inf', whole(now), 'BYSCORE', 'LIMIT', 0, left)
    if #mails > 0 then redis.call('ZREM', key('mails'), unpack(mails)) end
    for _, job in ipairs(mails) do due[#due + 1] = job end
  end
  if #due == 0 then return answer end
  local fence = whole(next_fence(redis.call('GET', key('fence'))))
  redis.call('SET', key('fence'), fence)
  for _, job in ipairs(due) do
    local attempt = count_attempt(job)
    redis.call('HSET', key('control:owners'), job,
      worker .. '|' .. fence .. '|' .. attempt .. '|0|' .. whole(now) .. '|' .. whole(now))
    redis.call('ZADD', key('leases'), whole(now + CONTROL_LEASE_MS), job)
    redis.call('SADD', worker_key(worker, 'jobs'), job)
    answer[#answer + 1] = job
    answer[#answer + 1] = fence
    answer[#answer + 1] = attempt
  end
  return answer
end

-- The indices to claim from one run: those to run again first, then fresh ones.
local function pick(run, count, again, next_index)
  local indices, repeated = {}, 0
  if again > 0 then
    indices = redis.call('LPOP', run_key(run, 'again'), math.min(count, again))
    repeated = #indices
  end
  for index = next_index, next_index + count - repeated - 1 do
    indices[#indices + 1] = whole(index)
  end
  return indices, repeated
end

local function claim_from(worker, run, count, fields, again, room, free_slots)
  local state, mode, next_index, endpoint = fields[1], fields[2], tonumber(fields[4]), fields[6]
  local lease_until = whole(now + tonumber(fields[7]))
  local fence = whole(next_fence(fields[8]))
  local indices, repeated = pick(run, count, again, next_index)
  local payloads = redis.call('HMGET', run_key(run, 'tests'), unpack(indices))
  local tries = {}
  if repeated > 0 then
    tries = redis.call('HMGET', run_key(run, 'tries'), unpack(indices, 1, repeated))
  end
  local now_text = whole(now)
  local untried = worker .. '|' .. fence .. '|1|0|' .. now_text .. '|' .. now_text
  local owners, leases, jobs, members, tried, claimed = {}, {}, {}, {}, {}, 0
  for i, index in ipairs(indices) do
    -- A payload goes when its test gets a result, so a stale index is recognised by that and skipped.
    local is_test = i > repeated or (is_whole(index, 0) and tonumber(index) < tonumber(fields[3]))
    if is_test and (payloads[i] or redis.call('HEXISTS', run_key(run, 'results'), index) == 0) then
      local owner = untried
      if i <= repeated then
        local attempts, lost, since, begun = string.match(tries[i] or '', '^(%d+)|(%d+)|(%d+)|(%d+)$')
        local attempt = (tonumber(attempts) or 0) + 1
        lost, begun = lost or '0', (attempt > 1 and begun) or now_text
        owner = worker .. '|' .. fence .. '|' .. attempt .. '|' .. lost .. '|' .. now_text .. '|' .. begun
        local known = #tried
        tried[known + 1], tried[known + 2], tried[known + 3], tried[known + 4] = attempt, lost, since or '', begun
      end
      local job = job_id(run, index)
      claimed = claimed + 1
      jobs[claimed] = job
      local second = claimed * 2
      owners[second - 1], owners[second] = index, owner
      leases[second - 1], leases[second] = lease_until, job
      members[second - 1], members[second] = index, payloads[i] or ''
    end
  end
  local vt = tonumber(fields[12]) or 0
  local served = math.max(vt, tonumber(redis.call('GET', key('clock'))) or 0)
  vt = served + count / (tonumber(fields[9]) or 1)
  redis.call('SET', key('clock'), whole(math.floor(served)))
  if state == 'queued' then
    redis.call('HSET', run_key(run), 'next', whole(next_index + #indices - repeated), 'fence', fence,
      'vt', tostring(vt), 'state', 'progress', 'started_at', whole(now))
  else
    redis.call('HSET', run_key(run), 'next', whole(next_index + #indices - repeated), 'fence', fence,
      'vt', tostring(vt))
  end
  if room <= claimed then
    redis.call('ZREM', key('ready'), run)
  elseif free_slots and free_slots <= claimed then
    redis.call('ZREM', key('ready'), run)
    redis.call('ZADD', endpoint_key(endpoint, 'parked'), tostring(vt), run)
  else
    -- Also after stale indices were skipped: they took neither room nor slots.
    redis.call('ZADD', key('ready'), tostring(vt), run)
  end
  if claimed > 0 then
    redis.call('HSET', run_key(run, 'owners'), unpack(owners))
    redis.call('ZADD', key('leases'), unpack(leases))
    redis.call('SADD', worker_key(worker, 'jobs'), unpack(jobs))
    redis.call('SADD', endpoint_key(endpoint, 'slots'), unpack(jobs))
  end
  local captured = ''
  if mode == 'Sequential' then captured = redis.call('HGET', run_key(run), 'captured') or '' end
  return { run, mode, fence, captured, fields[10] or fields[11] or now_text, fields[13] or '1', members, tried }, claimed
end

-- How many tests of a run may be claimed now, and how many are waiting to run again.
local function room_of(run, fields)
  local total, next_index, cap = tonumber(fields[3]), tonumber(fields[4]), tonumber(fields[5])
  local again = redis.call('LLEN', run_key(run, 'again'))
  local pending = again + total - next_index
  local room = cap - redis.call('HLEN', run_key(run, 'owners'))
  if fields[2] == 'Sequential' then
    -- Test i+1 is released by the terminal result of test i, nothing else (SEQUENTIAL-ORDER).
    -- With as many results and waiting tests as were given out, none is held and none is delayed. Usually at most one
    -- waits; in a run that was reopened there may be more.
    if redis.call('HLEN', run_key(run, 'results')) + again < next_index then room = 0 end
  end
  return math.min(room, pending), again
end

local function endpoint_room(endpoint)
  local cap = redis.call('HGET', endpoint_key(endpoint), 'max_concurrency')
  if not cap then return nil end
  -- Nobody knows what a limit that is no number was to be: one call at a time keeps to any.
  return (tonumber(cap) or 1) - redis.call('SCARD', endpoint_key(endpoint, 'slots'))
end

-- What the run at the head of `ready` has to give is added to `groups`, or it leaves `ready`. Answers how many tests.
local function claim_head(worker, run, want, fields, groups)
  local endpoint = fields[6]
  if not is_open(fields[1]) then
    redis.call('ZREM', key('ready'), run)
    if endpoint then unpark(endpoint, 1) end
    return 0
  end
  -- Lua would go on with numbers that are none of ours; what is raised here is blamed on the run.
  if not (is_whole(fields[3], 1) and is_whole(fields[4], 0) and is_whole(fields[5], 1) and is_whole(fields[7], 1)) then
    error('its numbers cannot be used')
  end
  local room, again = room_of(run, fields)
  local free_slots = endpoint_room(endpoint)
  if room < 1 then
    -- Nothing to claim until something of this run ends; a parked run may use the room instead.
    redis.call('ZREM', key('ready'), run)
    unpark(endpoint, 1)
    return 0
  end
  if free_slots and free_slots < 1 then
    redis.call('ZREM', key('ready'), run)
    redis.call('ZADD', endpoint_key(endpoint, 'parked'), tonumber(fields[12]) or 0, run)
    return 0
  end
  local count = math.min(want, room, free_slots or room)
  local group, claimed = claim_from(worker, run, count, fields, again, room, free_slots)
  if claimed > 0 then groups[#groups + 1] = group end
  return claimed
end

-- Answers groups, and the runs that were passed over: theirs is a format of another version. They keep their place in
-- `ready` for a worker that knows it; nothing of them is touched.
local function claim_tests(worker, want)
  local groups, looked, passed = {}, 0, {}
  while want > 0 and looked < LOOK_AT_MOST and #passed < PASS_OVER_AT_MOST * 2 do
    local head = redis.call('ZRANGE', key('ready'), #passed / 2, #passed / 2)
    if #head == 0 then break end
    local run = head[1]
    local fields = redis.pcall('HMGET', run_key(run), 'state', 'mode', 'total', 'next', 'cap', 'endpoint',
      'lease_ms', 'fence', 'weight', 'released_at', 'activated_at', 'vt', 'epoch', 'format')
    if fields.err then
      looked = looked + 1
      blame(run, fields)
    elseif is_open(fields[1]) and (fields[14] or FORMAT) ~= FORMAT then
      passed[#passed + 1], passed[#passed + 2] = run, fields[14]
    else
      looked = looked + 1
      want = want - (guarded(run, claim_head, worker, run, want, fields, groups) or 0)
    end
  end
  return groups, passed
end

-- Milliseconds until something of the wanted kind becomes claimable by itself; -1 when nothing is scheduled. What
-- is due and not wanted must not count: its worker would ask again at once, and again.
local function next_due(want_tests, want_control)
  local soonest
  local function look(name)
    local head = redis.call('ZRANGE', key(name), 0, 0, 'WITHSCORES')
    if #head == 2 then
      local wait = math.max(0, tonumber(head[2]) - now)
      if not soonest or wait < soonest then soonest = wait end
    end
  end
  if want_tests > 0 then look('delayed') end
  if want_control > 0 then look('control') end
  if want_control > 1 then look('mails') end
  return soonest or -1
end

-- A worker that is not registered, or that has since begun a new epoch, gets nothing: the claim may come from
-- a connection it has already given up.
local function may_claim(worker, epoch)
  if not redis.call('ZSCORE', key('workers'), worker) then return 'unregistered' end
  if redis.call('HGET', worker_key(worker), 'epoch') ~= epoch then return 'stale' end
  return 'ok'
end

-- { word, now_ms, next_due_ms, {job, fence, attempt, …}, {run passed over, its format, …}, group… }, where a group is
-- { run, mode, fence, captured, released_ms, epoch, {index, payload, …}, {attempt, lost, released_ms or '', begun_ms, …} }:
-- the last list is about the first members, those that have been tried before.
local function claim(worker, epoch, want_tests, want_control)
  local word = may_claim(worker, epoch)
  if word ~= 'ok' then return { word, now, -1, {}, {} } end
  promote_due()
  local control = claim_control(worker, want_control)
  local groups, passed = claim_tests(worker, want_tests)
  local wait = -1
  if #groups == 0 and #control == 0 then wait = next_due(want_tests, want_control) end
  -- Whoever leaves work behind passes the token on; not one that had no room for it or does not know it, or it would
  -- wake itself.
  if want_tests > 0 and redis.call('ZCARD', key('ready')) > #passed / 2 then ring()
  elseif want_control > 0 and #control == want_control * 3
    and redis.call('ZCOUNT', key('control'), '-inf', whole(now)) + redis.call('ZCOUNT', key('mails'), '-inf', whole(now)) > 0 then
    ring()
  end
  return { 'ok', now, wait, control, passed, unpack(groups) }
end
