-- The tools of `damage`, for scripts whose work is what is damaged.
local tools = damage()
local type_of, ENDED, is_live, wrong_part, MORE_RESULTS = tools.type_of, tools.ENDED, tools.is_live, tools.wrong_part,
  tools.MORE_RESULTS
local diagnose, quarantine, set_aside, mend_endpoint = tools.diagnose, tools.quarantine, tools.set_aside, tools.mend_endpoint
