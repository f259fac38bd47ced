#include <cstdio>
#include <memory>

#include "canhub/v1/bus_service.grpc.pb.h"
#include "clients/canhubctl/commands.h"
#include "clients/canhubctl/frame_filter.h"
#include "clients/canhubctl/stop_signal.h"
#include "clients/canhubctl/text_table.h"
#include "clients/canhubctl/values.h"

namespace canhub::ctl {
namespace {

using v1::BusService;

std::string StateText(const Output& output, v1::BusState state) {
  const std::string name = ShortName(v1::BusState_Name(state), "BUS_STATE_");
  switch (state) {
    case v1::BUS_STATE_ACTIVE:
      return output.Paint(Colour::kGood, name);
    case v1::BUS_STATE_WARNING:
      return output.Paint(Colour::kWarn, name);
    default:
      return output.Paint(Colour::kBad, name);
  }
}

std::string Percent(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), "%.1f %%", value);
  return buffer;
}

ExitCode ListBuses(Session& session) {
  v1::ListBusesResponse response;
  const grpc::Status status =
      session.Call<BusService>(&BusService::Stub::ListBuses, v1::ListBusesRequest(), &response);
  if (!status.ok()) return session.Fail(status);
  Output& output = session.output();
  if (output.json()) {
    output.Json(response);
    return ExitCode::kOk;
  }
  TextTable table({{"BUS"},
                   {"TYPE"},
                   {"INTERFACE"},
                   {"STATE"},
                   {"BIT/S", Align::kRight},
                   {"LOAD", Align::kRight},
                   {"FRAMES/S", Align::kRight},
                   {"ERRORS/S", Align::kRight},
                   {"DROPS", Align::kRight},
                   {"DEVICES"},
                   {"WHY"}});
  for (const v1::Bus& bus : response.buses()) {
    std::string devices;
    for (const std::string& id : bus.device_ids()) devices += (devices.empty() ? "" : ", ") + id;
    table.AddRow({bus.bus_id(), bus.type(), bus.interface(), StateText(output, bus.state()),
                  std::to_string(bus.bitrate()), Percent(bus.load_percent()),
                  FormatQuantity(bus.frames_per_second(), ""),
                  FormatQuantity(bus.errors_per_second(), ""),
                  std::to_string(bus.receive_drops() + bus.transmit_drops()), devices,
                  bus.state() == v1::BUS_STATE_ACTIVE ? "" : bus.state_text()});
  }
  output.out() << table.ToString();
  return ExitCode::kOk;
}

ExitCode ShowBus(Session& session, const std::string& id) {
  v1::GetBusRequest request;
  request.set_bus_id(id);
  v1::GetBusResponse response;
  const grpc::Status status =
      session.Call<BusService>(&BusService::Stub::GetBus, request, &response);
  if (!status.ok()) return session.Fail(status);
  Output& output = session.output();
  if (output.json()) {
    output.Json(response);
    return ExitCode::kOk;
  }
  const v1::Bus& bus = response.bus();
  const auto line = [&output](const std::string& name, const std::string& value) {
    output.Line(name + std::string(name.size() < 20 ? 20 - name.size() : 1, ' ') + value);
  };
  line("bus", bus.bus_id() + ", " + bus.type() + " " + bus.interface());
  line("state",
       StateText(output, bus.state()) + (bus.state_text().empty() ? "" : ": " + bus.state_text()));
  line("bit rate", std::to_string(bus.bitrate()) + " bit/s");
  line("load", Percent(bus.load_percent()) + " of the line's time in the last second");
  line("frames", FormatQuantity(bus.frames_per_second(), "") + " per second; " +
                     std::to_string(bus.frames_received()) + " received, " +
                     std::to_string(bus.frames_sent()) + " sent since the start");
  line("errors", FormatQuantity(bus.errors_per_second(), "") + " per second; " +
                     std::to_string(bus.error_frames()) + " error frames, " +
                     std::to_string(bus.bus_off_count()) + " times bus-off");
  if (bus.has_transmit_error_counter() && bus.has_receive_error_counter()) {
    line("error counters", "transmit " + std::to_string(bus.transmit_error_counter()) +
                               ", receive " + std::to_string(bus.receive_error_counter()));
  }
  line("dropped", std::to_string(bus.receive_drops()) + " received by the kernel, " +
                      std::to_string(bus.transmit_drops()) + " to send (queue full), " +
                      std::to_string(bus.transmit_expired()) + " expired unsent");
  std::string devices;
  for (const std::string& device : bus.device_ids()) {
    devices += (devices.empty() ? "" : ", ") + device;
  }
  line("devices", devices);
  return ExitCode::kOk;
}

ExitCode SendFrame(Session& session, const std::string& bus, const std::string& frame) {
  if (session.options.wait == "confirmed" || session.options.wait == "settled") {
    return session.Usage(
        "a raw frame is not read back: it is sent or, by default, on the wire; "
        "--wait sent is the only choice");
  }
  v1::SendFrameRequest request;
  request.set_bus_id(bus);
  request.set_text(frame);
  *request.mutable_options() = session.CommandOptions();
  v1::SendFrameResponse response;
  const grpc::Status status =
      session.Command<BusService>(&BusService::Stub::SendFrame, request, &response);
  if (!status.ok()) return session.Fail(status);
  if (session.output().json()) {
    session.output().Json(response);
  } else {
    session.output().Line(bus + ": " + frame + ": " + FormatReceipt(response.receipt()));
  }
  return ExitCode::kOk;
}

struct FrameArguments {
  std::string bus;
  std::vector<std::string> filters;
  bool errors = false;
  uint64_t count = 0;
  std::string duration;
};

ExitCode WatchFrames(Session& session, const FrameArguments& arguments) {
  v1::WatchFramesRequest request;
  request.set_bus_id(arguments.bus);
  request.set_error_frames(arguments.errors);
  for (const std::string& text : arguments.filters) {
    const Parsed<v1::FrameFilter> filter = ParseFrameFilter(text);
    if (!filter.ok()) return session.Usage("--filter: " + filter.error());
    *request.add_filters() = *filter;
  }
  grpc::ClientContext context;
  if (!arguments.duration.empty()) {
    const Parsed<std::chrono::nanoseconds> duration = ParseDuration(arguments.duration);
    if (!duration.ok()) return session.Usage("--duration: " + duration.error());
    context.set_deadline(Now() + std::chrono::duration_cast<WallTime::duration>(*duration));
  }
  StopSignal stop([&context] { context.TryCancel(); });
  const auto stub = BusService::NewStub(session.connection().channel());
  const auto reader = stub->WatchFrames(&context, request);
  Output& output = session.output();
  v1::WatchFramesResponse response;
  uint64_t shown = 0;
  bool finished = false;
  while (!finished && reader->Read(&response)) {
    if (response.lost_count() > 0) {
      output.err() << "canhubctl: " << response.lost_count()
                   << " frames lost here: this reader was too slow\n";
    }
    for (const v1::BusFrame& frame : response.frames()) {
      if (output.json()) {
        output.JsonLine(frame);
      } else {
        output.Line(frame.error() ? output.Paint(Colour::kBad, frame.text()) : frame.text());
      }
      finished = ++shown == arguments.count;
      if (finished) break;
    }
    output.out() << std::flush;
    if (!output.out()) finished = true;  // nobody reads any more
  }
  if (finished) context.TryCancel();
  const grpc::Status status = reader->Finish();
  const bool time_is_over = !arguments.duration.empty() &&
                            status.error_code() == grpc::DEADLINE_EXCEEDED &&
                            session.connection().channel()->GetState(false) == GRPC_CHANNEL_READY;
  if (finished || stop.stopped() || time_is_over || status.ok()) return ExitCode::kOk;
  return session.Fail(status);
}

}  // namespace

void AddBusCommands(CLI::App& app, Session& session) {
  CLI::App* bus = AddCommand(app, "bus", "the CAN buses: state, load, frames",
                             "canhubctl bus                         all buses\n"
                             "canhubctl bus can0                    one, with all counters\n"
                             "canhubctl bus watch can0              as candump does\n"
                             "canhubctl bus send can0 201#1001      needs the role engineer");
  auto id = std::make_shared<std::string>();
  session.Hint(bus->add_option("bus", *id, "its id; without: all"), Complete::kBus);
  bus->require_subcommand(0, 1);
  bus->callback([&session, bus, id] {
    if (!bus->get_subcommands().empty()) {
      // "bus can0 watch", or one word too many after a subcommand.
      if (!id->empty()) throw CLI::ExtrasError("bus", {*id});
      return;
    }
    session.action = [&session, id] {
      return id->empty() ? ListBuses(session) : ShowBus(session, *id);
    };
  });
  {
    CLI::App* command =
        AddCommand(*bus, "send",
                   "send one frame, whatever it does; it passes the command gate and is recorded",
                   "canhubctl bus send can0 201#1001\n"
                   "canhubctl bus send can0 00001229#1000     29-bit identifier: 8 digits\n"
                   "canhubctl bus send can0 201#R             a remote frame");
    auto bus_id = std::make_shared<std::string>();
    auto frame = std::make_shared<std::string>();
    session.Hint(command->add_option("bus", *bus_id, "the bus")->required(), Complete::kBus);
    command->add_option("frame", *frame, "as cansend writes it")->required();
    command->callback([&session, bus_id, frame] {
      session.action = [&session, bus_id, frame] { return SendFrame(session, *bus_id, *frame); };
    });
  }
  {
    CLI::App* command = AddCommand(*bus, "watch", "show frames, own ones included, as candump -L",
                                   "canhubctl bus watch lab\n"
                                   "canhubctl bus watch can0 --filter 200:780 --count 20\n"
                                   "canhubctl bus watch can0 --errors --duration 1min > can0.log");
    auto arguments = std::make_shared<FrameArguments>();
    session.Hint(command->add_option("bus", arguments->bus, "the bus; without: all"),
                 Complete::kBus);
    command
        ->add_option("--filter", arguments->filters,
                     "only frames with (id & MASK) == (ID & MASK); hexadecimal; any of several")
        ->type_name("ID:MASK")
        ->expected(1)
        ->take_all();
    command->add_flag("--errors", arguments->errors, "also error frames");
    command->add_option("--count", arguments->count, "end after so many frames")
        ->type_name("N")
        ->check(CLI::PositiveNumber);
    command->add_option("--duration", arguments->duration, "end after this time")
        ->type_name("DURATION");
    command->callback([&session, arguments] {
      session.action = [&session, arguments] { return WatchFrames(session, *arguments); };
    });
  }
}

}  // namespace canhub::ctl
