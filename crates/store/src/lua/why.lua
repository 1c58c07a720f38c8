--- why: what decides whether a run's tests are given out, in one look: the facts, by name. Changes nothing.
-- Promises: ONE-TRUTH
-- Flags: no-writes
-- Keys: run run:again run:results run:owners run:waits run:needs run:unmet run:groups run:grouped paused delayed
--   leases control:owners lingering run:group clock workers worker worker:jobs endpoint endpoint:slots
--   endpoint:lingering endpoint:tenants endpoint:waiting fleet ready:endpoints wakes deadlines quarantine
--   quarantine:reasons
-- ARGV: 1 run id; 2 index of a test, or ''
-- Answers: facts (name, value pairs) | unknown
--@include keys
--@include time
--@include admission
--@include placing
--@include shaping
--@include holding
local WORKERS_AT_MOST = 1000
local run, index = ARGV[1], ARGV[2]
local facts = { 'facts' }
local function tell(name, value)
  if value == nil or value == false then return end
  facts[#facts + 1], facts[#facts + 2] = name, tostring(value)
end
local function tell_fields(name, fields)
  for i, value in ipairs(redis.call('HMGET', name, unpack(fields))) do tell(fields[i], value) end
end
if redis.call('EXISTS', run_key(run)) == 0 then return { 'unknown' } end
tell('now', now_text)
tell_fields(run_key(run), { 'state', 'mode', 'total', 'next', 'cap', 'format', 'activated_at', 'stop', 'budget_requests',
  'budget_tokens', 'budget_cost', 'spent_requests', 'spent_tokens', 'spent_cost' })
local endpoint, tenant = unpack(redis.call('HMGET', run_key(run), 'endpoint', 'tenant'))
tenant = tenant or 'default'
tell('endpoint', endpoint)
tell('tenant', tenant)
tell('paused_at', redis.call('ZSCORE', key('paused'), run))
tell('quarantined', redis.call('ZSCORE', key('quarantine'), run) and (redis.call('HGET', key('quarantine:reasons'), run) or ''))
tell('deadline', redis.call('ZSCORE', key('deadlines'), run))
tell('again', redis.call('LLEN', run_key(run, 'again')))
tell('again_head', redis.call('LINDEX', run_key(run, 'again'), 0))
tell('done', redis.call('HLEN', run_key(run, 'results')))
tell('held', redis.call('HLEN', run_key(run, 'owners')))
local for_groups = 0
for _, group in ipairs(redis.call('HKEYS', run_key(run, 'groups'))) do
  for_groups = for_groups + redis.call('LLEN', group_key(run, group, 'waiting'))
end
tell('waiting_for_groups', for_groups)
tell('waiting_for_others', redis.call('HLEN', run_key(run, 'waits')))
if endpoint then
  local room, at, word = admission(endpoint)
  tell('room', whole(room))
  tell('room_at', at and string.format('%.3f', at))
  tell('limited_by', word)
  tell('going_on', calls_going_on(endpoint))
  tell('lingering', redis.call('ZCOUNT', endpoint_key(endpoint, 'lingering'), '(' .. now_text, '+inf'))
  tell_fields(endpoint_key(endpoint), { 'max_concurrency', 'limit', 'rate', 'tokens', 'hold_until', 'hold_reason', 'retry_until',
    'open_until', 'decreased_ms' })
  tell('place', redis.call('ZRANK', waiting_key(endpoint, tenant), run))
  tell('tenant_place', redis.call('ZRANK', endpoint_key(endpoint, 'tenants'), tenant))
  tell('endpoint_place', redis.call('ZRANK', key('ready:endpoints'), endpoint))
  tell('wakes_at', redis.call('ZSCORE', key('wakes'), endpoint))
end
tell('fleet_room', whole(fleet_room()))
tell('fleet_max', redis.call('HGET', key('fleet'), 'max_concurrency'))
local workers, running, free = 0, 0, 0
for _, worker in ipairs(redis.call('ZRANGE', key('workers'), '(' .. now_text, '+inf', 'BYSCORE', 'LIMIT', 0, WORKERS_AT_MOST)) do
  local state, concurrency = unpack(redis.call('HMGET', worker_key(worker), 'state', 'concurrency'))
  workers = workers + 1
  if state == 'running' then
    running = running + 1
    free = free + math.max(0, (tonumber(concurrency) or 0) - redis.call('SCARD', worker_key(worker, 'jobs')))
  end
end
tell('workers', workers)
tell('workers_running', running)
tell('workers_free', free)
if index ~= '' then
  local job = job_id(run, index)
  tell('result', redis.call('HGET', run_key(run, 'results'), index))
  tell('owner', redis.call('HGET', run_key(run, 'owners'), index))
  tell('delayed_until', redis.call('ZSCORE', key('delayed'), job))
  tell('again_place', redis.call('LPOS', run_key(run, 'again'), index))
  tell('waits', redis.call('HGET', run_key(run, 'waits'), index))
  tell('unmet', redis.call('HGET', run_key(run, 'unmet'), index))
  local group = redis.call('HGET', run_key(run, 'grouped'), index)
  if group then
    tell('group', group)
    tell('group_max', redis.call('HGET', run_key(run, 'groups'), group))
    tell('group_held', redis.call('SCARD', group_key(run, group, 'slots')))
    tell('group_place', redis.call('LPOS', group_key(run, group, 'waiting'), index))
  end
  -- Which of the tests it waits for have no result yet.
  local missing = {}
  for dependency in string.gmatch(redis.call('HGET', run_key(run, 'needs'), index) or '', '%d+') do
    if redis.call('HEXISTS', run_key(run, 'results'), dependency) == 0 then missing[#missing + 1] = dependency end
  end
  if #missing > 0 then tell('missing', table.concat(missing, ',')) end
end
return facts
