-- What a holder has: an owner entry `worker|fence|attempt|lost|claimed_ms|begun_ms` (begun: the first attempt of the
-- test), a lease, a slot of the endpoint, and membership in its worker's `jobs`. They are made together in a claim and freed together here,
-- but for the slot of a test whose endpoint has answered: that may go first (`vacate`), and the entry then ends with `|answered`.
local ANSWERED = '|answered'
local function job_id(run, index) return run .. '/' .. index end
local function split_job(job)
  local run, index = string.match(job, '^([^/]*)/(%d+)$')
  return run, index
end
local function read_owner(owner)
  if not owner then return nil end
  local worker, fence, attempt, lost, begun, rest = string.match(owner, '^(.*)|(%d+)|(%d+)|(%d+)|%d+|(%d+)(%D*)$')
  if not worker or (rest ~= '' and rest ~= ANSWERED) then return nil end
  return { worker = worker, fence = fence, attempt = tonumber(attempt), lost = tonumber(lost), begun = begun,
    answered = rest == ANSWERED }
end
local function holds(owner, worker, fence)
  local prefix = worker .. '|' .. fence .. '|'
  return owner and string.sub(owner, 1, #prefix) == prefix
end
-- Frees one job. The fence rises: without an owner entry no token is valid, and the next claim draws a higher one.
local function free(run, index, worker, endpoint)
  local job = job_id(run, index)
  redis.call('HDEL', run_key(run, 'owners'), index)
  redis.call('ZREM', key('leases'), job)
  redis.call('SREM', worker_key(worker, 'jobs'), job)
  if endpoint then redis.call('SREM', endpoint_key(endpoint, 'slots'), job) end
  leave_group(run, index)
end
-- The call of a test whose run was closed goes on until its worker is told, which is at its next renewal at the latest.
local function linger(run, index, owner, endpoint)
  if owner.answered then return end
  local until_ms = redis.call('ZSCORE', key('workers'), owner.worker)
  if until_ms and tonumber(until_ms) > now then
    local entry = job_id(run, index) .. '|' .. owner.fence
    -- Of the endpoint, and of the fleet. Those of workers that never said so are over, too.
    redis.call('ZREMRANGEBYSCORE', endpoint_key(endpoint, 'lingering'), '-inf', now_text)
    redis.call('ZADD', endpoint_key(endpoint, 'lingering'), until_ms, entry)
    redis.call('ZREMRANGEBYSCORE', key('lingering'), '-inf', now_text)
    redis.call('ZADD', key('lingering'), until_ms, entry)
  end
end
-- Its worker says that it stopped. Answers the endpoint, when it did not know that yet.
local function stop_lingering(run, index, fence)
  local endpoint = redis.call('HGET', run_key(run), 'endpoint')
  local entry = job_id(run, index) .. '|' .. fence
  if endpoint and redis.call('ZREM', endpoint_key(endpoint, 'lingering'), entry) == 1 then
    redis.call('ZREM', key('lingering'), entry)
    offer(endpoint)
    return endpoint
  end
end
-- Attempts spent, workers lost, since when it may be claimed, and when its first attempt began.
local function remember_tries(run, index, attempts, lost, released, begun)
  redis.call('HSET', run_key(run, 'tries'), index, attempts .. '|' .. lost .. '|' .. whole(released) .. '|' .. begun)
end
