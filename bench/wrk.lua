-- wrk -s wrk.lua … URL -- REQUESTS: sends a random one of the requests in the file REQUESTS, again and again.
-- In a body, {n} stands for something that no other request of the run has.
local requests, prefix
local count = 0

function init(args)
  local load = dofile(args[1])
  prefix = load.prefix
  math.randomseed(load.seed)
  wrk.method = load.method
  for name, value in pairs(load.headers) do wrk.headers[name] = value end
  requests = {}
  for i, request in ipairs(load.requests) do
    local method = request.method or load.method
    -- What never changes is put together once; what does, for each request.
    if request.body and request.body:find('{n}', 1, true) then
      local before, after = request.body:match('^(.-){n}(.*)$')
      requests[i] = { method = method, path = request.path, before = before, after = after }
    else
      requests[i] = wrk.format(method, request.path, nil, request.body)
    end
  end
end

function request()
  local one = requests[math.random(#requests)]
  if type(one) == 'string' then return one end
  count = count + 1
  return wrk.format(one.method, one.path, nil, one.before .. prefix .. count .. one.after)
end

-- Times in microseconds. An answer of 400 and above is an error, like one that did not come.
function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\nresult {"requests":%d,"micros":%d,"p50":%.1f,"p99":%.1f,"errors":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout
  ))
end
