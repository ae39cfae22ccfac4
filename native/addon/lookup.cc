#include "addon/lookup.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#ifndef _WIN32
#include <netdb.h>
#include <sys/socket.h>
#endif

#include "addon/convert.h"
#include "addon/deferred.h"
#include "addon/environment.h"
#include "addon/errors.h"

namespace ringtap::addon {

namespace {

struct Answer {
  std::vector<std::string> addresses;
  std::string fault;
};

#ifndef _WIN32

Answer ask(const std::string& name) {
  addrinfo wanted{};
  wanted.ai_flags = AI_ADDRCONFIG;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int fault = getaddrinfo(name.c_str(), nullptr, &wanted, &found);
  if (fault != 0) return {.addresses = {}, .fault = gai_strerror(fault)};
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
  Answer answer;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    char text[NI_MAXHOST];
    if (getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0) continue;
    if (std::ranges::find(answer.addresses, text) == answer.addresses.end()) answer.addresses.emplace_back(text);
  }
  if (answer.addresses.empty()) answer.fault = "it has no address";
  return answer;
}

#else

Answer ask(const std::string&) { return {.addresses = {}, .fault = "names are not looked up on this system"}; }

#endif

}  // namespace

Napi::Value lookup(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Deferred answered(env);
  auto answer = std::make_shared<Answer>();
  const auto settle = [answer, answered](Napi::Env there) mutable {
    if (answer->fault.empty()) return answered.resolve(from_strings(there, answer->addresses));
    answered.reject(to_js(there, Error{.code = Code::kRemoteUnreachable, .message = answer->fault}).Value());
  };
  auto started = Environment::of(env).tasks().start([answer, name = text(info[0])] { *answer = ask(name); }, settle);
  if (!started) answered.reject(to_js(env, started.error()).Value());
  return answered.promise();
}

}  // namespace ringtap::addon
