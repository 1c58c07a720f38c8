-- Key names. KEYS[1] is the shard's root, such as `tf:{0}`; `keys.rs` spells the same names for Rust. They are kept from
-- call to call, since nearly all calls are about the same few.
local root, shared, shared_count
local last_run, run_prefix, run_parts
local last_endpoint, endpoint_prefix, endpoint_parts
local last_worker, worker_prefix, worker_parts
local SHARED_AT_MOST = 128

local function key(name)
  local known = shared[name]
  if not known then
    if shared_count == SHARED_AT_MOST then shared, shared_count = {}, 0 end
    known = root .. ':' .. name
    shared[name], shared_count = known, shared_count + 1
  end
  return known
end
local function run_key(run, part)
  if run ~= last_run then
    last_run, run_prefix, run_parts = run, root .. ':run:' .. run, {}
  end
  if not part then return run_prefix end
  local known = run_parts[part]
  if not known then
    known = run_prefix .. ':' .. part
    run_parts[part] = known
  end
  return known
end
-- Always with a part at the end: the name before it is somebody else's and may itself end in `:slots`.
local function endpoint_key(endpoint, part)
  part = part or 'limits'
  if endpoint ~= last_endpoint then
    last_endpoint, endpoint_prefix, endpoint_parts = endpoint, root .. ':endpoint:' .. endpoint .. ':', {}
  end
  local known = endpoint_parts[part]
  if not known then
    known = endpoint_prefix .. part
    endpoint_parts[part] = known
  end
  return known
end
local function worker_key(worker, part)
  if worker ~= last_worker then
    last_worker, worker_prefix, worker_parts = worker, root .. ':worker:' .. worker, {}
  end
  if not part then return worker_prefix end
  local known = worker_parts[part]
  if not known then
    known = worker_prefix .. ':' .. part
    worker_parts[part] = known
  end
  return known
end
-- Of a group of tests: those in flight (`slots`), and those that wait for room (`waiting`).
local function group_key(run, group, part) return run_key(run) .. ':group:' .. group .. ':' .. part end
-- The runs of one tenant that wait at an endpoint. A tenant's name has no colon.
local function waiting_key(endpoint, tenant) return root .. ':endpoint:' .. endpoint .. ':' .. tenant .. ':waiting' end
--@call
if root ~= KEYS[1] then
  root, shared, shared_count = KEYS[1], {}, 0
  last_run, last_endpoint, last_worker = nil, nil, nil
end
