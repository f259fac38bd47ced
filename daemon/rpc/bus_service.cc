// BusService: state of the buses, raw frames.
#include <algorithm>
#include <utility>

#include "canhub/v1/bus_service.grpc.pb.h"
#include "daemon/rpc/clean_text.h"
#include "daemon/rpc/command_call.h"
#include "daemon/rpc/frame_watch.h"
#include "daemon/rpc/services.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

v1::BusState ToProto(BusState state) {
  switch (state) {
    case BusState::kActive:
      return v1::BUS_STATE_ACTIVE;
    case BusState::kWarning:
      return v1::BUS_STATE_WARNING;
    case BusState::kPassive:
      return v1::BUS_STATE_PASSIVE;
    case BusState::kBusOff:
      return v1::BUS_STATE_BUS_OFF;
    case BusState::kDown:
      return v1::BUS_STATE_DOWN;
    case BusState::kUnplugged:
      return v1::BUS_STATE_UNPLUGGED;
  }
  return v1::BUS_STATE_UNSPECIFIED;
}

void SetBus(const Hub& hub, const BusSetup& setup, v1::Bus* out) {
  const BusStatus status = setup.bus->Status();
  out->set_bus_id(setup.id);
  out->set_type(status.type);
  out->set_interface(CleanText(status.interface));
  out->set_state(ToProto(status.state));
  out->set_state_text(CleanText(status.text));
  out->set_bitrate(status.bitrate != 0 ? status.bitrate : setup.bitrate);
  out->set_load_percent(status.load_percent);
  out->set_frames_per_second(status.frames_per_second);
  out->set_errors_per_second(status.errors_per_second);
  out->set_frames_received(status.frames_received);
  out->set_frames_sent(status.frames_sent);
  out->set_error_frames(status.error_frames);
  out->set_receive_drops(status.receive_drops);
  out->set_transmit_drops(status.transmit_drops);
  out->set_transmit_expired(status.transmit_expired);
  if (status.transmit_error_counter) {
    out->set_transmit_error_counter(*status.transmit_error_counter);
  }
  if (status.receive_error_counter) out->set_receive_error_counter(*status.receive_error_counter);
  for (const Hub::DeviceView& device : hub.devices()) {
    if (device.setup->bus_id == setup.id) out->add_device_ids(device.setup->config.id);
  }
  out->set_bus_off_count(status.bus_off_count);
}

absl::StatusOr<const BusSetup*> RequireBus(const Hub& hub, const std::string& bus_id) {
  if (bus_id.empty()) return MissingField("bus_id", "the id of a bus");
  if (const BusSetup* bus = hub.FindBus(bus_id)) return bus;
  std::string known;
  for (const BusSetup* bus : hub.buses()) known += (known.empty() ? "" : ", ") + bus->id;
  const std::string found = CleanText(bus_id, 80);
  return MakeError(absl::StatusCode::kNotFound, "BUS_UNKNOWN",
                   "no bus \"" + found + "\"; there are: " + (known.empty() ? "none" : known),
                   {{"bus_id", found}, {"known", known}});
}

absl::StatusOr<CanFrame> ReadFrame(const v1::SendFrameRequest& request) {
  switch (request.form_case()) {
    case v1::SendFrameRequest::kText:
      return ParseFrame(request.text());
    case v1::SendFrameRequest::kFrame:
      break;
    case v1::SendFrameRequest::FORM_NOT_SET:
      return MissingField("frame", "frame, or text such as \"210#41000344BB8000\"");
  }
  const v1::Frame& in = request.frame();
  const uint32_t largest = in.extended() ? 0x1FFFFFFF : 0x7FF;
  if (in.id() > largest) {
    return InvalidField(
        "frame.id", std::to_string(in.id()),
        "at most " + std::to_string(largest) + (in.extended() ? ", 29 bits" : ", 11 bits"));
  }
  if (in.data().size() > 8) {
    return InvalidField("frame.data", std::to_string(in.data().size()) + " bytes",
                        "0 to 8, as in a classic CAN frame");
  }
  if (in.remote() && !in.data().empty()) {
    return InvalidField("frame.data", std::to_string(in.data().size()) + " bytes",
                        "none in a remote frame");
  }
  CanFrame frame;
  frame.id = in.id();
  frame.extended = in.extended();
  frame.remote = in.remote();
  frame.dlc = static_cast<uint8_t>(in.data().size());
  std::copy(in.data().begin(), in.data().end(), frame.data.begin());
  return frame;
}

class BusServiceImpl final : public v1::BusService::CallbackService {
 public:
  explicit BusServiceImpl(RpcContext* rpc) : rpc_(*rpc) {}

  grpc::ServerUnaryReactor* ListBuses(grpc::CallbackServerContext* context,
                                      const v1::ListBusesRequest*,
                                      v1::ListBusesResponse* response) override {
    return Answer(rpc_, context, Role::kViewer, [&](const Caller&) {
      std::vector<const BusSetup*> buses = rpc_.hub->buses();
      std::sort(buses.begin(), buses.end(),
                [](const BusSetup* a, const BusSetup* b) { return a->id < b->id; });
      for (const BusSetup* bus : buses) SetBus(*rpc_.hub, *bus, response->add_buses());
      return absl::OkStatus();
    });
  }

  grpc::ServerUnaryReactor* GetBus(grpc::CallbackServerContext* context,
                                   const v1::GetBusRequest* request,
                                   v1::GetBusResponse* response) override {
    return Answer(rpc_, context, Role::kViewer, [&](const Caller&) {
      const absl::StatusOr<const BusSetup*> bus = RequireBus(*rpc_.hub, request->bus_id());
      if (!bus.ok()) return bus.status();
      SetBus(*rpc_.hub, **bus, response->mutable_bus());
      return absl::OkStatus();
    });
  }

  grpc::ServerUnaryReactor* SendFrame(grpc::CallbackServerContext* context,
                                      const v1::SendFrameRequest* request,
                                      v1::SendFrameResponse* response) override {
    // The gate checks the role, and audits the refusal.
    return AnswerLater(
        rpc_, context, Role::kNone, [&](const Caller& caller, std::shared_ptr<PendingCall> call) {
          const absl::StatusOr<const BusSetup*> bus = RequireBus(*rpc_.hub, request->bus_id());
          if (!bus.ok()) return call->End(bus.status());
          const absl::StatusOr<CanFrame> frame = ReadFrame(*request);
          if (!frame.ok()) return call->End(frame.status());
          const absl::StatusOr<Stage> wait_for = ReadWaitFor(request->options(), Stage::kOnWire);
          if (!wait_for.ok()) return call->End(wait_for.status());
          FrameRequest send{.caller = caller,
                            .bus_id = request->bus_id(),
                            .frame = *frame,
                            // Nothing confirms a raw frame beyond its place on the wire.
                            .wait_for = std::min(*wait_for, Stage::kOnWire),
                            .deadline = DeadlineOf(rpc_, *context),
                            .request_id = request->options().request_id(),
                            .lease_id = request->options().lease_id()};
          rpc_.hub->gate().SubmitFrame(
              std::move(send), [call = std::move(call), response, hub = rpc_.hub,
                                simulated = (*bus)->simulated](CommandResult result) {
                call->Finish([&] {
                  if (!result.status.ok()) return result.status;
                  SetReceipt(result.receipt, simulated, TimeView(hub->clock()),
                             response->mutable_receipt());
                  return absl::OkStatus();
                });
              });
        });
  }

  grpc::ServerWriteReactor<v1::WatchFramesResponse>* WatchFrames(
      grpc::CallbackServerContext* context, const v1::WatchFramesRequest* request) override {
    return WatchStream<v1::WatchFramesResponse>::Start(
        rpc_, context,
        [&](const Caller&, Kicks kicks)
            -> absl::StatusOr<std::unique_ptr<MessageSource<v1::WatchFramesResponse>>> {
          std::vector<const BusSetup*> buses = rpc_.hub->buses();
          if (!request->bus_id().empty()) {
            const absl::StatusOr<const BusSetup*> bus = RequireBus(*rpc_.hub, request->bus_id());
            if (!bus.ok()) return bus.status();
            buses = {*bus};
          }
          absl::StatusOr<FrameSelection> selection = ReadSelection(*request);
          if (!selection.ok()) return selection.status();
          return MakeFrameWatch(&rpc_, buses, *std::move(selection), std::move(kicks));
        });
  }

 private:
  RpcContext& rpc_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeBusService(RpcContext* rpc) {
  return std::make_unique<BusServiceImpl>(rpc);
}

}  // namespace canhub
