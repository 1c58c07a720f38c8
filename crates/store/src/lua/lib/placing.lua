-- Where a run with claimable tests waits: in the waiting set of its tenant at its endpoint, or in `paused` while somebody
-- wants it to wait. A tenant with waiting runs is in the endpoint's `tenants`; an endpoint with tenants is in `ready:endpoints`
-- while it has room, and in `wakes` while time alone will give it room. One that is full is in neither: whoever frees a slot
-- offers it again, in the same step, so there is no wake-up that could be lost.
local function is_open(state) return state == 'queued' or state == 'progress' end

-- Whether this call has offered an endpoint.
local offered

local function wake_at(endpoint, at)
  if at then redis.call('ZADD', key('wakes'), string.format('%.3f', at), endpoint) end
end

-- To be called by whatever may have made room: a slot freed, a limit raised, a hold ended. Answers when time alone gives it
-- some, if that is waited for now.
local function offer(endpoint)
  if redis.call('ZSCORE', key('ready:endpoints'), endpoint) then return end
  if redis.call('EXISTS', endpoint_key(endpoint, 'tenants')) == 0 then return end
  local room, at = admission(endpoint)
  if room >= 1 then
    local own = tonumber(redis.call('HGET', endpoint_key(endpoint), 'vt')) or 0
    local clock = tonumber(redis.call('GET', key('clock'))) or 0
    offered = true
    redis.call('ZADD', key('ready:endpoints'), tostring(math.max(own, clock)), endpoint)
    redis.call('ZREM', key('wakes'), endpoint)
  elseif at then
    wake_at(endpoint, at)
    return at
  else
    redis.call('ZREM', key('wakes'), endpoint)
  end
end

local function tenant_of(run) return redis.call('HGET', run_key(run), 'tenant') or 'default' end

-- What is waited for longest comes first when the fleet finishes what was started: before everything that is placed by its
-- virtual time.
local FINISH_FIRST = -10000000000000

-- New and returning runs and tenants begin at the current virtual time: nobody saves up for later.
local function place_in_line(run, run_clock)
  local vt, activated = unpack(redis.call('HMGET', run_key(run), 'vt', 'activated_at'))
  if finishes_first() then return tostring(FINISH_FIRST + (tonumber(activated) or 0)) end
  return tostring(math.max(tonumber(vt) or 0, tonumber(run_clock) or 0))
end
local function wait_in_line(run, endpoint, tenant, soon)
  local run_clock, tenant_vt, tenant_clock, own =
    unpack(redis.call('HMGET', endpoint_key(endpoint), 'clock:' .. tenant, 'vt:' .. tenant, 'clock', 'vt'))
  redis.call('ZADD', waiting_key(endpoint, tenant), place_in_line(run, run_clock), run)
  redis.call('ZADD', endpoint_key(endpoint, 'tenants'), 'NX',
    tostring(math.max(tonumber(tenant_vt) or 0, tonumber(tenant_clock) or 0)), tenant)
  if soon then
    local clock = tonumber(redis.call('GET', key('clock'))) or 0
    offered = true
    redis.call('ZADD', key('ready:endpoints'), 'NX', tostring(math.max(tonumber(own) or 0, clock)), endpoint)
  else
    return offer(endpoint)
  end
end

-- Whoever claims next finds out whether there is room: for scripts that claim themselves, which would look twice else.
local function offer_soon(endpoint)
  if redis.call('ZSCORE', key('ready:endpoints'), endpoint) then return end
  if redis.call('EXISTS', endpoint_key(endpoint, 'tenants')) == 0 then return end
  local own = tonumber(redis.call('HGET', endpoint_key(endpoint), 'vt')) or 0
  local clock = tonumber(redis.call('GET', key('clock'))) or 0
  offered = true
  redis.call('ZADD', key('ready:endpoints'), tostring(math.max(own, clock)), endpoint)
end

-- `tenant`: when it is known. `soon`: the caller claims in the same script.
local function place(run, endpoint, tenant, soon)
  if redis.call('ZSCORE', key('paused'), run) then return end
  tenant = tenant or tenant_of(run)
  if not redis.call('ZSCORE', waiting_key(endpoint, tenant), run) then wait_in_line(run, endpoint, tenant, soon) end
end

-- Nobody is offered an endpoint at which nobody waits.
-- Answers whether others wait: of the same tenant, and at the endpoint.
local function leave_line(run, endpoint, tenant)
  redis.call('ZREM', waiting_key(endpoint, tenant), run)
  if redis.call('EXISTS', waiting_key(endpoint, tenant)) == 1 then return true, true end
  redis.call('ZREM', endpoint_key(endpoint, 'tenants'), tenant)
  if redis.call('EXISTS', endpoint_key(endpoint, 'tenants')) == 1 then return false, true end
  redis.call('ZREM', key('ready:endpoints'), endpoint)
  redis.call('ZREM', key('wakes'), endpoint)
  return false, false
end

-- A run that nothing may be claimed from any more.
local function displace(run, endpoint) leave_line(run, endpoint, tenant_of(run)) end

-- Endpoints whose time has come.
local WAKE_AT_MOST = 64
local function wake_due()
  local due = redis.call('ZRANGE', key('wakes'), '-inf', string.format('%.3f', now_us / 1000), 'BYSCORE', 'LIMIT', 0,
    WAKE_AT_MOST)
  for _, endpoint in ipairs(due) do
    redis.call('ZREM', key('wakes'), endpoint)
    offer(endpoint)
  end
end
--@call
offered = false
