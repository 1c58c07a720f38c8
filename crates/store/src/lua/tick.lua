--- tick: one look for the whole fleet at what time alone brings about. Of the workers that call it within `guard` ms
-- the first one looks; it is told what there is to do, and the bell rings when there is something to claim, so that no
-- worker has to poll for it. A gap in the ticks, or another server process, begins the grace of `reap`.
-- Promises: TAKEOVER-BOUND, OUTAGE-GRACE, TERMINAL-ALWAYS, PROGRESS-AFTER-HEAL
-- Flags: allow-oom
-- Keys: leases workers delayed control deadlines reaper bell mails ready:endpoints wakes
-- ARGV: 1 worker incarnation; 2 lease ms; 3 guard ms, in which a look of somebody else is enough; 4 ms between sweeps;
--   5 ms between sweeps while nothing waits, runs or is held
-- Answers: looked (when: now ms, 1 to reap, 1 to sweep, 1 to claim, 1 when anything waits, runs or is held, ms until
--   the next known deadline or -1) | skipped (when: ms of the last look)
--@include keys
--@include time
--@include bell
--@include serving
local function flag(is) return is and 1 or 0 end
local worker, lease, guard = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local tick, by, grace, swept, known =
  unpack(redis.call('HMGET', key('reaper'), 'tick', 'by', 'grace_until', 'swept', 'server'))
local since = now - (tonumber(tick) or 0)
if by ~= worker and since >= 0 and since < guard then return { 'skipped', tick } end

local grace_until = tonumber(grace) or 0
local server = server_process(known)
local another = known and known ~= server
if not tick or another or since > lease / 2 then grace_until = now + lease end
local soonest
-- Whether the first entry is due; remembers when it will be.
local function is_due(name)
  local head = redis.call('ZRANGE', name, 0, 0, 'WITHSCORES')
  if #head == 0 then return false end
  local wait = tonumber(head[2]) - now
  if wait <= 0 then return true end
  if not soonest or wait < soonest then soonest = wait end
  return false
end
local reap, overdue, claimable = is_due(key('workers')), false, false
local busy = redis.call('EXISTS', key('leases'), key('ready:endpoints'), key('wakes'), key('delayed'), key('control'), key('mails'),
  key('deadlines')) > 0
if busy then
  reap = is_due(key('leases')) or reap
  overdue = is_due(key('deadlines'))
  -- Each of them is looked at, also after one that is due: it says when the next one will be.
  local delayed, control, mails = is_due(key('delayed')), is_due(key('control')), is_due(key('mails'))
  local woken = is_due(key('wakes'))
  claimable = delayed or control or mails or woken or redis.call('EXISTS', key('ready:endpoints')) == 1
end
if reap and now < grace_until then
  reap = false
  if not soonest or grace_until - now < soonest then soonest = grace_until - now end
end
local sweep = overdue or now - (tonumber(swept) or 0) >= tonumber(busy and ARGV[4] or ARGV[5])
if sweep then swept = now_text end
redis.call('HSET', key('reaper'), 'tick', now_text, 'by', worker, 'grace_until', whole(grace_until),
  'server', server, 'swept', swept, 'claimable', flag(claimable))
if claimable then ring() end
return { 'looked', now, flag(reap), flag(sweep), flag(claimable), flag(busy), soonest and math.ceil(soonest) or -1 }
