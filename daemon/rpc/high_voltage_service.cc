// HighVoltageService: typed views of items and actions of the kind "high_voltage".
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "canhub/v1/high_voltage_service.grpc.pb.h"
#include "daemon/rpc/clean_text.h"
#include "daemon/rpc/emergency_off.h"
#include "daemon/rpc/high_voltage_target.h"
#include "daemon/rpc/high_voltage_view.h"
#include "daemon/rpc/high_voltage_watch.h"
#include "daemon/rpc/services.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

namespace hv = high_voltage;
using std::chrono::milliseconds;
using ItemValues = std::vector<std::pair<std::string, Value>>;

constexpr char kChannelExpected[] = "the channel's number, from 0";
// The register of the delayed trip time holds 16 bits of milliseconds.
constexpr Duration kMaxTripTime = milliseconds(65535);

template <typename Request>
absl::Status RequireChannelField(const Request& request) {
  return request.has_channel() ? absl::OkStatus() : MissingField("channel", kChannelExpected);
}

// Adds the item when the field is there.
absl::Status AddNumber(ItemValues* items, const char* item, std::string_view field, bool given,
                       double value) {
  if (!given) return absl::OkStatus();
  absl::StatusOr<Value> number = ReadFinite(field, value);
  if (!number.ok()) return number.status();
  items->emplace_back(item, *std::move(number));
  return absl::OkStatus();
}

template <typename Request>
std::optional<uint32_t> OptionalChannel(const Request& request) {
  if (!request.has_channel()) return std::nullopt;
  return request.channel();
}

const Value* Result(const CommandResult& result, std::string_view name, ValueType type) {
  const Value* value = FindArgument(result.results, name);
  return value != nullptr && value->type() == type ? value : nullptr;
}

void SplitInto(std::string_view text, char separator,
               google::protobuf::RepeatedPtrField<std::string>* out) {
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    if (!part.empty()) *out->Add() = CleanText(part);
  }
}

class HighVoltageServiceImpl final : public v1::HighVoltageService::CallbackService {
 private:
  using Unary = grpc::ServerUnaryReactor*;
  using Context = grpc::CallbackServerContext*;

 public:
  explicit HighVoltageServiceImpl(RpcContext* rpc) : rpc_(*rpc) {}

  // ------------------------------------------------------------------ reads

  Unary GetModule(Context context, const v1::GetModuleRequest* request,
                  v1::GetModuleResponse* response) override {
    return Answer(rpc_, context, Role::kViewer, [&](const Caller&) {
      const absl::StatusOr<HighVoltageTarget> target = Find(request->device_id());
      if (!target.ok()) return target.status();
      const absl::Status module = target->RequireModule();
      if (!module.ok()) return module;
      const TimeView time(rpc_.hub->clock());
      HighVoltageView(target->snapshot(), time).SetModule(target->id(), response->mutable_module());
      return absl::OkStatus();
    });
  }

  Unary GetChannels(Context context, const v1::GetChannelsRequest* request,
                    v1::GetChannelsResponse* response) override {
    return Answer(rpc_, context, Role::kViewer, [&](const Caller&) {
      const absl::StatusOr<HighVoltageTarget> target = Find(request->device_id());
      if (!target.ok()) return target.status();
      std::vector<uint32_t> channels(request->channels().begin(), request->channels().end());
      // Also for "all": a module that is not identified has not zero channels, nobody knows.
      absl::Status exists = target->RequireChannel(0);
      for (const uint32_t channel : channels) {
        if (exists.ok()) exists = target->RequireChannel(channel);
      }
      if (!exists.ok()) return exists;
      if (channels.empty()) {
        for (int i = 0; i < target->channel_count(); ++i) {
          channels.push_back(static_cast<uint32_t>(i));
        }
      }
      if (channels.size() > kMaxChannels) {
        return InvalidField("channels", std::to_string(channels.size()),
                            "at most " + std::to_string(kMaxChannels));
      }
      const TimeView time(rpc_.hub->clock());
      const HighVoltageView view(target->snapshot(), time);
      for (const uint32_t channel : channels) {
        view.SetChannel(static_cast<int>(channel), response->add_channels());
      }
      return absl::OkStatus();
    });
  }

  grpc::ServerWriteReactor<v1::WatchChannelsResponse>* WatchChannels(
      Context context, const v1::WatchChannelsRequest* request) override {
    return WatchStream<v1::WatchChannelsResponse>::Start(
        rpc_, context,
        [&](const Caller&, Kicks kicks)
            -> absl::StatusOr<std::unique_ptr<MessageSource<v1::WatchChannelsResponse>>> {
          return MakeChannelWatch(&rpc_, *request, std::move(kicks));
        });
  }

  Unary GetCrate(Context context, const v1::GetCrateRequest* request,
                 v1::GetCrateResponse* response) override {
    return Answer(rpc_, context, Role::kViewer, [&](const Caller&) {
      const absl::StatusOr<HighVoltageTarget> target = Find(request->device_id());
      if (!target.ok()) return target.status();
      const absl::Status crate = target->RequireCrate();
      if (!crate.ok()) return crate;
      const TimeView time(rpc_.hub->clock());
      HighVoltageView(target->snapshot(), time).SetCrate(target->id(), response->mutable_crate());
      return absl::OkStatus();
    });
  }

  // ------------------------------------------------------------------ set values

  Unary SetVoltage(Context context, const v1::SetVoltageRequest* request,
                   v1::SetVoltageResponse* response) override {
    const std::string device_id = request->device_id();
    const uint32_t channel = request->channel();
    return Command(
        context, request, response,
        [&](const HighVoltageTarget& target) -> absl::StatusOr<CommandContent> {
          if (absl::Status s = RequireChannelField(*request); !s.ok()) return s;
          if (!request->has_voltage_v()) return MissingField("voltage_v", "a voltage in V");
          ItemValues items;
          absl::Status s =
              AddNumber(&items, hv::channel::kVoltageSet, "voltage_v", true, request->voltage_v());
          if (!s.ok()) return s;
          return target.Writes(channel, items);
        },
        [this, device_id, channel, response](const CommandResult&) {
          const std::optional<DeviceIndex> device = rpc_.hub->cache().FindDevice(device_id);
          if (!device) return;
          const std::optional<double> measured = HighVoltageView::MeasuredVoltage(
              *rpc_.hub->cache().Snapshot(*device), rpc_.hub->clock().Now(), channel);
          if (measured) response->set_voltage_measure_v(*measured);
        });
  }

  Unary SetCurrent(Context context, const v1::SetCurrentRequest* request,
                   v1::SetCurrentResponse* response) override {
    return Command(context, request, response,
                   [&](const HighVoltageTarget& target) -> absl::StatusOr<CommandContent> {
                     if (absl::Status s = RequireChannelField(*request); !s.ok()) return s;
                     if (!request->has_current_a()) {
                       return MissingField("current_a", "a current in A, not negative");
                     }
                     ItemValues items;
                     absl::Status s = AddNumber(&items, hv::channel::kCurrentSet, "current_a", true,
                                                request->current_a());
                     if (!s.ok()) return s;
                     return target.Writes(request->channel(), items);
                   });
  }

  Unary SetRamp(Context context, const v1::SetRampRequest* request,
                v1::SetRampResponse* response) override {
    return Command(
        context, request, response,
        [&](const HighVoltageTarget& target) -> absl::StatusOr<CommandContent> {
          if (!request->has_up_v_per_s() && !request->has_down_v_per_s()) {
            return MissingField("up_v_per_s", "this or down_v_per_s, or both");
          }
          ItemValues arguments;
          absl::Status s = AddNumber(&arguments, "up", "up_v_per_s", request->has_up_v_per_s(),
                                     request->up_v_per_s());
          if (s.ok()) {
            s = AddNumber(&arguments, "down", "down_v_per_s", request->has_down_v_per_s(),
                          request->down_v_per_s());
          }
          if (!s.ok()) return s;
          return target.Action(hv::action::kSetRamp, OptionalChannel(*request),
                               std::move(arguments));
        },
        [response](const CommandResult& result) {
          if (const Value* v = Result(result, "applies_to_module", ValueType::kFlag)) {
            response->set_applies_to_module(v->flag());
          }
          if (const Value* v = Result(result, "percent_per_s", ValueType::kNumber)) {
            response->set_module_percent_per_s(v->number());
          }
        });
  }

  Unary SetBounds(Context context, const v1::SetBoundsRequest* request,
                  v1::SetBoundsResponse* response) override {
    return Command(context, request, response,
                   [&](const HighVoltageTarget& target) -> absl::StatusOr<CommandContent> {
                     if (absl::Status s = RequireChannelField(*request); !s.ok()) return s;
                     ItemValues items;
                     absl::Status s =
                         AddNumber(&items, hv::channel::kVoltageBounds, "voltage_bounds_v",
                                   request->has_voltage_bounds_v(), request->voltage_bounds_v());
                     if (s.ok()) {
                       s = AddNumber(&items, hv::channel::kCurrentBounds, "current_bounds_a",
                                     request->has_current_bounds_a(), request->current_bounds_a());
                     }
                     if (!s.ok()) return s;
                     if (items.empty()) {
                       return MissingField("voltage_bounds_v", "this or current_bounds_a, or both");
                     }
                     return target.Writes(request->channel(), items);
                   });
  }

  Unary SetKill(Context context, const v1::SetKillRequest* request,
                v1::SetKillResponse* response) override {
    return Command(context, request, response,
                   [&](const HighVoltageTarget& target) -> absl::StatusOr<CommandContent> {
                     if (!request->has_enable()) return MissingField("enable", "true or false");
                     return target.Writes(
                         std::nullopt, {{hv::module::kKillEnable, Value::Flag(request->enable())}});
                   });
  }

  Unary SetTripPolicy(Context context, const v1::SetTripPolicyRequest* request,
                      v1::SetTripPolicyResponse* response) override {
    return Command(context, request, response,
                   [&](const HighVoltageTarget& target) -> absl::StatusOr<CommandContent> {
                     if (absl::Status s = RequireChannelField(*request); !s.ok()) return s;
                     const absl::StatusOr<ItemValues> items = TripPolicy(*request);
                     if (!items.ok()) return items.status();
                     return target.Writes(request->channel(), *items);
                   });
  }

  Unary SetOutput(Context context, const v1::SetOutputRequest* request,
                  v1::SetOutputResponse* response) override {
    return Command(context, request, response,
                   [&](const HighVoltageTarget& target) -> absl::StatusOr<CommandContent> {
                     if (absl::Status s = RequireChannelField(*request); !s.ok()) return s;
                     ItemValues items;
                     if (request->output_mode() > 3) {
                       return InvalidField("output_mode", std::to_string(request->output_mode()),
                                           "1 to 3, or 0 to leave it");
                     }
                     if (request->output_mode() != 0) {
                       items.emplace_back(hv::channel::kOutputMode,
                                          Value::Integer(request->output_mode()));
                     }
                     switch (request->polarity()) {
                       case v1::POLARITY_UNSPECIFIED:
                         break;
                       case v1::POLARITY_POSITIVE:
                         items.emplace_back(hv::channel::kOutputPolarity, Value::Integer(1));
                         break;
                       case v1::POLARITY_NEGATIVE:
                         items.emplace_back(hv::channel::kOutputPolarity, Value::Integer(-1));
                         break;
                       default:
                         return InvalidField("polarity", std::to_string(request->polarity()),
                                             "POLARITY_POSITIVE or POLARITY_NEGATIVE");
                     }
                     if (items.empty())
                       return MissingField("polarity", "this or output_mode, or both");
                     return target.Writes(request->channel(), items);
                   });
  }

  // ------------------------------------------------------------------ acts

  Unary SwitchOn(Context context, const v1::SwitchOnRequest* request,
                 v1::SwitchOnResponse* response) override {
    return Switch(context, request, response, hv::action::kSwitchOn);
  }
  Unary SwitchOff(Context context, const v1::SwitchOffRequest* request,
                  v1::SwitchOffResponse* response) override {
    return Switch(context, request, response, hv::action::kSwitchOff);
  }

  Unary EmergencyOff(Context context, const v1::EmergencyOffRequest* request,
                     v1::EmergencyOffResponse* response) override {
    return AnswerEmergencyOff(rpc_, context, *request, response);
  }

  Unary ReleaseEmergencyOff(Context context, const v1::ReleaseEmergencyOffRequest* request,
                            v1::ReleaseEmergencyOffResponse* response) override {
    return Command(context, request, response, [&](const HighVoltageTarget& target) {
      return target.Action(hv::action::kReleaseEmergencyOff, OptionalChannel(*request));
    });
  }

  Unary ClearEvents(Context context, const v1::ClearEventsRequest* request,
                    v1::ClearEventsResponse* response) override {
    return Command(
        context, request, response,
        [&](const HighVoltageTarget& target) {
          return target.Action(hv::action::kClearEvents, OptionalChannel(*request));
        },
        [response](const CommandResult& result) {
          if (const Value* v = Result(result, "still_active", ValueType::kText)) {
            SplitInto(v->text(), ',', response->mutable_still_active());
          }
        });
  }

  Unary PrepareRemoval(Context context, const v1::PrepareRemovalRequest* request,
                       v1::PrepareRemovalResponse* response) override {
    return Command(
        context, request, response,
        [&](const HighVoltageTarget& target) -> absl::StatusOr<CommandContent> {
          if (absl::Status s = target.RequireModule(); !s.ok()) return s;
          return target.Action(hv::action::kPrepareRemoval, std::nullopt);
        },
        [response](const CommandResult& result) {
          if (const Value* v = Result(result, "highest_voltage", ValueType::kNumber)) {
            response->set_highest_voltage_v(v->number());
          }
        },
        Stage::kSettled);
  }

  Unary SetCratePower(Context context, const v1::SetCratePowerRequest* request,
                      v1::SetCratePowerResponse* response) override {
    return Command(context, request, response,
                   [&](const HighVoltageTarget& target) -> absl::StatusOr<CommandContent> {
                     if (!request->has_on()) return MissingField("on", "true or false");
                     if (absl::Status s = target.RequireCrate(); !s.ok()) return s;
                     // The forced form is an action of its own: the gate asks for the role
                     // engineer.
                     return target.Action(
                         request->force() ? hv::action::kCratePowerForced : hv::action::kCratePower,
                         std::nullopt, {{"on", Value::Flag(request->on())}});
                   });
  }

  Unary StoreSetValues(Context context, const v1::StoreSetValuesRequest* request,
                       v1::StoreSetValuesResponse* response) override {
    return Command(context, request, response,
                   [&](const HighVoltageTarget& target) -> absl::StatusOr<CommandContent> {
                     const char* action = nullptr;
                     switch (request->operation()) {
                       case v1::SET_VALUES_OPERATION_SAVE:
                         action = hv::action::kSaveSetValues;
                         break;
                       case v1::SET_VALUES_OPERATION_RECALL:
                         action = hv::action::kRecallSetValues;
                         break;
                       case v1::SET_VALUES_OPERATION_RESET:
                         action = hv::action::kResetSetValues;
                         break;
                       case v1::SET_VALUES_OPERATION_FACTORY_RESET:
                         action = hv::action::kFactoryReset;
                         break;
                       case v1::SET_VALUES_OPERATION_UNSPECIFIED:
                         return MissingField("operation", "save, recall, reset or factory reset");
                       default:
                         return InvalidField("operation", std::to_string(request->operation()),
                                             "save, recall, reset or factory reset");
                     }
                     if (absl::Status s = target.RequireModule(); !s.ok()) return s;
                     return target.Action(action, std::nullopt);
                   });
  }

  Unary ControlLine(Context context, const v1::ControlLineRequest* request,
                    v1::ControlLineResponse* response) override {
    return Command(context, request, response,
                   [&](const HighVoltageTarget& target) -> absl::StatusOr<CommandContent> {
                     switch (request->operation()) {
                       case v1::LINE_OPERATION_LIVE_INSERTION_ON:
                         return target.Action(hv::action::kLiveInsertionOn, std::nullopt);
                       case v1::LINE_OPERATION_LIVE_INSERTION_OFF:
                         return target.Action(hv::action::kLiveInsertionOff, std::nullopt);
                       case v1::LINE_OPERATION_RESTART_SCAN:
                         return target.Action(hv::action::kRestartScan, std::nullopt);
                       case v1::LINE_OPERATION_UNSPECIFIED:
                         return MissingField("operation",
                                             "live insertion on, off, or restart scan");
                       default:
                         return InvalidField("operation", std::to_string(request->operation()),
                                             "live insertion on, off, or restart scan");
                     }
                   });
  }

  Unary RawExchange(Context context, const v1::RawExchangeRequest* request,
                    v1::RawExchangeResponse* response) override {
    return Command(
        context, request, response,
        [&](const HighVoltageTarget& target) -> absl::StatusOr<CommandContent> {
          if (request->data_hex().empty()) {
            return MissingField("data_hex", "1 to 8 bytes as hexadecimal digits, DATA_ID first");
          }
          return target.Action(hv::action::kRawExchange, std::nullopt,
                               {{"data", Value::Text(request->data_hex())},
                                {"write", Value::Flag(request->write())}});
        },
        [response](const CommandResult& result) {
          if (const Value* v = Result(result, "answers", ValueType::kText)) {
            SplitInto(v->text(), ' ', response->mutable_answers_hex());
          }
        });
  }

 private:
  absl::StatusOr<HighVoltageTarget> Find(const std::string& device_id) const {
    return HighVoltageTarget::Find(*rpc_.hub, rpc_.hub->cache(), device_id);
  }

  // One command on the device that the request names. `make`:
  // absl::StatusOr<CommandContent>(const HighVoltageTarget&), at once; `fill`: see AnswerCommand.
  template <typename Request, typename Response, typename Make, typename Fill>
  Unary Command(Context context, const Request* request, Response* response, Make make, Fill fill,
                std::optional<Stage> wait_for = std::nullopt) {
    return AnswerCommand(
        rpc_, context, response,
        [&](const Caller& caller) -> absl::StatusOr<CommandRequest> {
          const absl::StatusOr<HighVoltageTarget> target = Find(request->device_id());
          if (!target.ok()) return target.status();
          absl::StatusOr<CommandContent> content = make(*target);
          if (!content.ok()) return content.status();
          absl::StatusOr<CommandRequest> command = MakeCommand(
              rpc_, *context, caller, target->id(), *std::move(content), request->options());
          if (command.ok() && wait_for) command->wait_for = *wait_for;
          return command;
        },
        std::move(fill));
  }
  template <typename Request, typename Response, typename Make>
  Unary Command(Context context, const Request* request, Response* response, Make make) {
    return Command(context, request, response, std::move(make), [](const CommandResult&) {});
  }

  template <typename Request, typename Response>
  Unary Switch(Context context, const Request* request, Response* response, const char* action) {
    return Command(context, request, response,
                   [&](const HighVoltageTarget& target) -> absl::StatusOr<CommandContent> {
                     if (request->has_channel() == request->all_channels()) {
                       return request->has_channel()
                                  ? InvalidField("all_channels", "true beside a channel",
                                                 "one of the two")
                                  : MissingField("channel", "a channel, or all_channels");
                     }
                     if (absl::Status s = target.RequireChannel(0); !s.ok()) return s;
                     return target.Action(action, OptionalChannel(*request));
                   });
  }

  static absl::StatusOr<ItemValues> TripPolicy(const v1::SetTripPolicyRequest& request) {
    ItemValues items;
    if (request.has_delayed_trip_time()) {
      const absl::StatusOr<Duration> time = ReadDuration(
          request.delayed_trip_time(), "delayed_trip_time", milliseconds(1), kMaxTripTime);
      if (!time.ok()) return time.status();
      if (*time % milliseconds(1) != Duration(0)) {
        return InvalidField("delayed_trip_time", std::to_string(time->count()) + " ns",
                            "whole milliseconds");
      }
      items.emplace_back(hv::channel::kDelayedTripTime, Value::Integer(*time / milliseconds(1)));
    }
    const auto reaction = [&](std::string_view field, const char* item, v1::ChannelReaction wanted,
                              bool may_disable) -> absl::Status {
      if (wanted == v1::CHANNEL_REACTION_UNSPECIFIED) return absl::OkStatus();
      // Numbered as section 15.2 of the EDCP facts numbers the values of both registers: 0 flags
      // only, 1 ramp down, 2 channel off, 3 module off; 4, not to watch, only for the delayed trip.
      const bool disabled = wanted == v1::CHANNEL_REACTION_DISABLED;
      if (!v1::ChannelReaction_IsValid(wanted) || (disabled && !may_disable)) {
        return InvalidField(field,
                            v1::ChannelReaction_IsValid(wanted) ? v1::ChannelReaction_Name(wanted)
                                                                : std::to_string(wanted),
                            may_disable ? "a reaction" : "a reaction other than disabled");
      }
      items.emplace_back(item, Value::Integer(wanted - v1::CHANNEL_REACTION_FLAG_ONLY));
      return absl::OkStatus();
    };
    absl::Status s = reaction("delayed_trip_action", hv::channel::kDelayedTripAction,
                              request.delayed_trip_action(), /*may_disable=*/true);
    if (s.ok()) {
      s = reaction("external_inhibit_action", hv::channel::kExternalInhibitAction,
                   request.external_inhibit_action(), /*may_disable=*/false);
    }
    if (!s.ok()) return s;
    if (items.empty()) {
      return MissingField("delayed_trip_time",
                          "this, delayed_trip_action or external_inhibit_action");
    }
    return items;
  }

  static constexpr size_t kMaxChannels = 4096;

  RpcContext& rpc_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeHighVoltageService(RpcContext* rpc) {
  return std::make_unique<HighVoltageServiceImpl>(rpc);
}

}  // namespace canhub
