-- wrk's script for all workloads. BENCH_KIND is "plain", "401" or "logon"; BENCH_TOKENS is the file of tokens.
-- For handshakes wrk runs one thread a connection: its script cannot tell connections apart, and a handshake's legs must
-- alternate on each connection. Thread n is user n, asks for /KIND/n and is given challenge n.

local ffi = require("ffi")
ffi.cdef("typedef struct { long s; long ns; } bench_time; int clock_gettime(int, bench_time *);")

local function now()
  local time = ffi.new("bench_time")
  ffi.C.clock_gettime(1, time) -- CLOCK_MONOTONIC
  return tonumber(time.s) + tonumber(time.ns) / 1e9
end

local kind = os.getenv("BENCH_KIND")
local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

if kind == "plain" then
  function init()
    started = now()
  end
else
  local first, third, next_leg

  function init()
    local tokens = dofile(os.getenv("BENCH_TOKENS"))
    local target = "/" .. kind .. "/" .. number
    local function leg(token)
      local headers = { Authorization = "NTLM " .. token }
      for name, value in pairs(wrk.headers) do headers[name] = value end
      return wrk.format("GET", target, headers)
    end
    first = leg(tokens.negotiate)
    third = leg(tokens.authenticate[number + 1])
    next_leg = first
    started = now()
  end

  function request()
    local leg = next_leg
    next_leg = leg == first and third or first
    return leg
  end
end

-- wrk's own duration begins when its last thread has been made; with 64 of them on a full machine the first ones have then been
-- at work for long. So each thread notes when it was made, and the duration is their mean.
function done(summary, latency, requests)
  local ended, seconds = now(), 0
  for _, thread in ipairs(threads) do seconds = seconds + (ended - thread:get("started")) / #threads end
  local errors = summary.errors
  io.write(string.format(
    'BENCH {"requests":%d,"seconds":%.6f,"bytes":%d,"p50":%d,"p99":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d,"status":%d}\n',
    summary.requests, seconds, summary.bytes, latency:percentile(50), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
