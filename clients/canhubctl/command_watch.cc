#include <fstream>
#include <map>
#include <memory>
#include <optional>

#include "canhub/v1/item_service.grpc.pb.h"
#include "clients/canhubctl/commands.h"
#include "clients/canhubctl/live_screen.h"
#include "clients/canhubctl/no_match.h"
#include "clients/canhubctl/reading_log.h"
#include "clients/canhubctl/stop_signal.h"
#include "clients/canhubctl/text_table.h"
#include "clients/canhubctl/values.h"

namespace canhub::ctl {
namespace {

struct WatchArguments {
  std::vector<std::string> names;
  std::string interval;
  std::string every;
  std::string duration;
  std::string format;
  std::string out;
  uint64_t count = 0;
};

constexpr char kDuration[] = "--duration";

// The readings of a live table, in the order in which they first came.
class Board {
 public:
  void Update(const v1::Reading& reading) {
    const auto [place, is_new] = places_.try_emplace(reading.name(), readings_.size());
    if (is_new) {
      readings_.push_back(reading);
    } else {
      readings_[place->second] = reading;
    }
  }

  std::vector<std::string> Lines(const Output& output, uint64_t coalesced) const {
    TextTable table({{"ITEM"}, {"VALUE", Align::kRight}, {"QUALITY"}, {"CHANGED"}});
    for (const v1::Reading& reading : readings_) {
      const bool good = reading.quality() == v1::QUALITY_GOOD;
      table.AddRow(
          {reading.name(), FormatReadingValue(reading),
           output.Paint(good ? Colour::kGood : Colour::kBad, QualityName(reading.quality())),
           reading.has_change_time() ? FormatTimeOfDay(ToWallTime(reading.change_time())) : ""});
    }
    std::vector<std::string> lines = table.Lines();
    std::string status = FormatTimeOfDay(Now()) + "  Ctrl-C ends";
    if (coalesced > 0) status += "; " + std::to_string(coalesced) + " changes in between not shown";
    lines.push_back(output.Paint(Colour::kDim, status));
    return lines;
  }

 private:
  std::vector<v1::Reading> readings_;
  std::map<std::string, size_t> places_;
};

std::string ChooseFormat(const WatchArguments& arguments, const Output& output) {
  if (!arguments.format.empty()) return arguments.format;
  if (arguments.out.ends_with(".csv")) return "csv";
  if (output.json() || arguments.out.ends_with(".jsonl")) return "jsonl";
  return output.terminal() && arguments.out.empty() ? "table" : "lines";
}

// Reads an option's duration into `field` unless it was not given.
bool ReadDuration(Session& session, const char* option, const std::string& text,
                  std::optional<std::chrono::nanoseconds>* field, ExitCode* exit_code) {
  if (text.empty()) return true;
  // A recording's length is in seconds where nothing else is said.
  const bool bare = std::string_view(option) == kDuration && ParseQuantity(text, "").ok();
  const Parsed<std::chrono::nanoseconds> duration = ParseDuration(bare ? text + "s" : text);
  if (!duration.ok()) {
    *exit_code = session.Usage(std::string(option) + ": " + duration.error());
    return false;
  }
  *field = *duration;
  return true;
}

ExitCode Watch(Session& session, const WatchArguments& arguments) {
  Output& output = session.output();
  const std::string format = ChooseFormat(arguments, output);
  if (format == "table" && (!output.terminal() || !arguments.out.empty())) {
    return session.Usage("--format table is for a terminal; lines, csv and jsonl go anywhere");
  }
  std::optional<std::chrono::nanoseconds> interval, every, duration;
  ExitCode bad = ExitCode::kOk;
  if (!ReadDuration(session, "--interval", arguments.interval, &interval, &bad) ||
      !ReadDuration(session, "--every", arguments.every, &every, &bad) ||
      !ReadDuration(session, kDuration, arguments.duration, &duration, &bad)) {
    return bad;
  }
  // Faster than this nobody reads a table.
  if (format == "table" && !interval) interval = std::chrono::milliseconds(200);

  v1::WatchItemsRequest request;
  for (const std::string& name : arguments.names) *request.add_names() = name;
  if (arguments.names.empty()) request.add_names("*/*");
  if (interval) *request.mutable_min_interval() = ToProto(*interval);
  if (every) *request.mutable_max_interval() = ToProto(*every);

  std::ofstream file;
  if (!arguments.out.empty()) {
    file.open(arguments.out, std::ios::trunc);
    if (!file) return session.FailLocal("cannot write " + arguments.out);
  }
  std::ostream& out = arguments.out.empty() ? output.out() : file;

  grpc::ClientContext context;
  if (duration) {
    context.set_deadline(Now() + std::chrono::duration_cast<WallTime::duration>(*duration));
  }
  StopSignal stop([&context] { context.TryCancel(); });
  const auto stub = v1::ItemService::NewStub(session.connection().channel());
  const auto reader = stub->WatchItems(&context, request);

  Board board;
  std::optional<LiveScreen> screen;
  std::optional<ReadingLog> log;
  if (format != "table") log.emplace(out, LogFormatByName(format));
  uint64_t coalesced = 0;
  uint64_t shown = 0;
  bool finished = false;
  bool synced = false;
  bool any = false;
  v1::WatchItemsResponse response;
  while (!finished && reader->Read(&response)) {
    coalesced += response.coalesced_count();
    any |= !response.readings().empty();
    if (response.synced() && !synced && !any) {
      output.err() << "canhubctl: " << NoMatchText(session, request.names())
                   << "; waiting for one\n"
                   << std::flush;
    }
    synced |= response.synced();
    for (const v1::Reading& reading : response.readings()) {
      if (!log) {
        board.Update(reading);
        continue;
      }
      log->Write(reading);
      finished = ++shown == arguments.count;
      if (finished) break;
    }
    if (log && !out) {
      context.TryCancel();
      reader->Finish();
      return session.FailLocal(arguments.out.empty()
                                   ? "nobody reads standard output any more"
                                   : "cannot write to " + arguments.out + " any more");
    }
    if (!log && synced) {
      // Not before the first connection: an error must not find the cursor hidden.
      if (!screen) screen.emplace(out);
      screen->Draw(board.Lines(output, coalesced), GetTerminalSize());
      finished = ++shown == arguments.count;
    }
  }
  if (finished) context.TryCancel();
  const grpc::Status status = reader->Finish();
  screen.reset();
  const bool time_is_over = duration && status.error_code() == grpc::DEADLINE_EXCEEDED && synced;
  if (finished || stop.stopped() || time_is_over || status.ok()) return ExitCode::kOk;
  return session.Fail(status);
}

}  // namespace

void AddWatchCommand(CLI::App& app, Session& session) {
  CLI::App* command = AddCommand(
      app, "watch", "show readings as they change: a live table, or lines when not on a terminal",
      "canhubctl watch 'hv0/ch[0-3].*_measure'\n"
      "canhubctl watch hv0/ch3.voltage_measure --duration 10s\n"
      "canhubctl watch 'hv0/ch*.voltage_measure' --every 1s --out scan.csv\n"
      "canhubctl watch 'pcs1/dc_*' --format jsonl --out run.jsonl --duration 10\n"
      "canhubctl watch 'hv0/ch*.is_trip' --json | jq .name");
  auto arguments = std::make_shared<WatchArguments>();
  session.Hint(command->add_option("names", arguments->names, "items or patterns [all]"),
               Complete::kItem);
  command
      ->add_option("--interval", arguments->interval,
                   "at most one update in this time; the newest values [table: 200ms]")
      ->type_name("DURATION");
  command
      ->add_option("--every", arguments->every, "every reading at least this often, changed or not")
      ->type_name("DURATION");
  command->add_option(kDuration, arguments->duration, "end after this time; a bare number: seconds")
      ->type_name("DURATION");
  command
      ->add_option("--count", arguments->count, "end after so many lines, or redraws of the table")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  session.Choices(command->add_option("--format", arguments->format,
                                      "[table on a terminal, by the file's name, else lines]"),
                  {"table", "lines", "csv", "jsonl"});
  command->add_option("--out", arguments->out, "write to this file")->type_name("FILE");
  command->callback([&session, arguments] {
    session.action = [&session, arguments] { return Watch(session, *arguments); };
  });
}

}  // namespace canhub::ctl
