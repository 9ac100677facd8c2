-- What `wrk` sends: the lines of a file (method, path, token, body), in turn. `once` ends the run with the last.
local ffi = require("ffi")
ffi.cdef("int getpid(void); int kill(int pid, int signal);")
local requests, place, promised, answered = {}, 0, 0, 0
local NEVER_MS = 3600000
local SIGINT = 2

function init(args)
  for line in io.lines(args[1]) do
    local method, path, token, body = line:match("^([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)$")
    local headers = { ["Content-Type"] = "application/json" }
    if token ~= "" then headers["Authorization"] = "Bearer " .. token end
    requests[#requests + 1] = wrk.format(method, path, headers, body ~= "" and body or nil)
  end
  if args[2] == "once" then end_with_the_last() end
end

-- Each request has its answer before the end. To stop a thread is not enough: `wrk` would sit out its time.
function end_with_the_last()
  function delay()
    promised = promised + 1
    return promised > #requests and NEVER_MS or 0
  end
  function response()
    answered = answered + 1
    if answered == #requests then ffi.C.kill(ffi.C.getpid(), SIGINT) end
  end
end

function request()
  place = place % #requests + 1
  return requests[place]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests": %d, "us": %d, "refused": %d, "broken": %d, "p50": %d, "p95": %d, "p99": %d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(95), latency:percentile(99)))
end
