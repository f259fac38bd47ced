// Watches of typed services: a stream read until it ends, its time is over or somebody has seen
// enough; and states shown live, as a table on a terminal or as lines.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "clients/canhubctl/live_screen.h"
#include "clients/canhubctl/session.h"
#include "clients/canhubctl/stop_signal.h"
#include "clients/canhubctl/text_table.h"
#include "clients/canhubctl/values.h"

namespace canhub::ctl {

template <typename Stub, typename Request, typename Response>
using WatchMethod = std::unique_ptr<grpc::ClientReader<Response>> (Stub::*)(grpc::ClientContext*,
                                                                            const Request&);

// Calls `show` with each message until it returns false or nobody reads the output any more. OK
// also when Ctrl-C or, after the synced message, the end of `duration` ended it. `duration`: as the
// option was given, "" for none. `at_the_end` comes before a failure is told.
template <typename Service, typename Stub, typename Request, typename Response>
ExitCode ReadWatch(
    Session& session, WatchMethod<Stub, Request, Response> method, const Request& request,
    const std::string& duration, const std::function<bool(const Response&)>& show,
    const std::function<void()>& at_the_end = [] {}) {
  grpc::ClientContext context;
  if (!duration.empty()) {
    const Parsed<std::chrono::nanoseconds> time = ParseDuration(duration);
    if (!time.ok()) return session.Usage("--duration: " + time.error());
    context.set_deadline(Now() + std::chrono::duration_cast<WallTime::duration>(*time));
  }
  StopSignal stop([&context] { context.TryCancel(); });
  const std::unique_ptr<typename Service::Stub> stub =
      Service::NewStub(session.connection().channel());
  const auto reader = (stub.get()->*method)(&context, request);
  bool synced = false;
  bool finished = false;
  Response response;
  while (!finished && reader->Read(&response)) {
    synced |= response.synced();
    finished = !show(response) || !session.output().out();
  }
  if (finished) context.TryCancel();
  const grpc::Status status = reader->Finish();
  at_the_end();
  const bool time_is_over =
      !duration.empty() && status.error_code() == grpc::DEADLINE_EXCEEDED && synced;
  if (finished || stop.stopped() || time_is_over || status.ok()) return ExitCode::kOk;
  return session.Fail(status);
}

// Of a live watch.
struct LiveOptions {
  std::string interval;
  std::string duration;
  uint64_t count = 0;
};
inline void AddLiveOptions(CLI::App& command, LiveOptions& options, const std::string& interval) {
  command.add_option("--interval", options.interval, "at most one update in this time" + interval)
      ->type_name("DURATION");
  command.add_option("--duration", options.duration, "end after this time")->type_name("DURATION");
  command.add_option("--count", options.count, "end after so many lines, or redraws")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
}

template <typename Key, typename State>
struct LiveView {
  std::function<Key(const State&)> key;  // rows of the table are in its order
  std::function<TextTable()> table;
  std::function<void(const Output&, const State&, TextTable*)> add_row;
  std::function<std::string(const State&)> line;
  std::string line_interval = "200ms";  // of lines, unless one is given; a table has 200 ms
};

// `states`: those that a message has.
template <typename Service, typename Stub, typename Request, typename Response, typename Key,
          typename State>
ExitCode WatchLive(Session& session, WatchMethod<Stub, Request, Response> method, Request request,
                   const LiveOptions& options,
                   const google::protobuf::RepeatedPtrField<State>& (Response::*states)() const,
                   const LiveView<Key, State>& view) {
  Output& output = session.output();
  const bool table_wanted = output.terminal() && !output.json();
  const Parsed<std::chrono::nanoseconds> interval =
      ParseDuration(!options.interval.empty() ? options.interval
                    : table_wanted            ? std::string("200ms")
                                              : view.line_interval);
  if (!interval.ok()) return session.Usage("--interval: " + interval.error());
  if (interval->count() > 0) *request.mutable_min_interval() = ToProto(*interval);
  std::map<Key, State> board;
  std::optional<LiveScreen> screen;
  bool synced = false;
  uint64_t shown = 0;
  const auto show = [&](const Response& response) {
    synced |= response.synced();
    for (const State& state : (response.*states)()) {
      if (table_wanted) {
        board[view.key(state)] = state;
        continue;
      }
      if (output.json()) {
        output.JsonLine(state);
      } else {
        output.out() << view.line(state) << "\n" << std::flush;
      }
      if (++shown == options.count) return false;
    }
    if (!table_wanted || !synced) return true;
    TextTable table = view.table();
    for (const auto& [key, state] : board) view.add_row(output, state, &table);
    std::vector<std::string> lines = table.Lines();
    lines.push_back(output.Paint(Colour::kDim, FormatTimeOfDay(Now()) + "  Ctrl-C ends"));
    if (!screen) screen.emplace(output.out());
    screen->Draw(lines, GetTerminalSize());
    return ++shown != options.count;
  };
  return ReadWatch<Service>(session, method, request, options.duration,
                            std::function<bool(const Response&)>(show), [&] { screen.reset(); });
}

// The time of a reading for a line; dashes for none.
template <typename State>
std::string LineTime(const State& state) {
  return state.has_read_time() ? FormatTimeOfDay(ToWallTime(state.read_time()))
                               : std::string("--:--:--.---");
}

}  // namespace canhub::ctl
