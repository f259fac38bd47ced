// PowerConverterService: typed views of items and actions of the kind "power_converter".
#include <algorithm>
#include <utility>

#include "canhub/v1/power_converter_service.grpc.pb.h"
#include "daemon/rpc/clean_text.h"
#include "daemon/rpc/group_call.h"
#include "daemon/rpc/power_converter_target.h"
#include "daemon/rpc/power_converter_watch.h"
#include "daemon/rpc/services.h"
#include "daemon/rpc/typed_fields.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

namespace pc = power_converter;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// What members in parallel share between them: an argument in one of these units is the sum.
constexpr std::string_view kSharedUnits[] = {"A", "W", "var"};
// What they do not share so: a resistance, a multiple of the capacity.
constexpr std::string_view kIndivisible[] = {"resistance_setpoint", "resistance_1", "resistance_2",
                                             "magnification"};

template <typename Container>
bool Contains(const Container& container, std::string_view text) {
  return std::find(std::begin(container), std::end(container), text) != std::end(container);
}

// Each member's part of the group's set-point.
absl::Status Divide(const ActionSpec& action, size_t members, Arguments* arguments) {
  for (auto& [name, value] : *arguments) {
    if (Contains(kIndivisible, name)) {
      return InvalidField("divide", "true with " + name,
                          "a mode of currents, powers and voltages, which members share equally");
    }
    for (const ActionArgument& argument : action.arguments) {
      if (name == argument.name && Contains(kSharedUnits, argument.unit)) {
        value = Value::Number(value.number() / static_cast<double>(members));
      }
    }
  }
  return absl::OkStatus();
}

class PowerConverterServiceImpl final : public v1::PowerConverterService::CallbackService {
 private:
  using Unary = grpc::ServerUnaryReactor*;
  using Context = grpc::CallbackServerContext*;
  using Content = absl::StatusOr<CommandContent>;

 public:
  explicit PowerConverterServiceImpl(RpcContext* rpc) : rpc_(*rpc) {}

  // ------------------------------------------------------------------ reads

  Unary GetState(Context context, const v1::GetStateRequest* request,
                 v1::GetStateResponse* response) override {
    return Answer(rpc_, context, Role::kViewer, [&](const Caller&) {
      const absl::StatusOr<PowerConverters> found =
          FindConverters(*rpc_.hub, request->device_id(), /*all=*/true);
      if (!found.ok()) return found.status();
      const TimeView time(rpc_.hub->clock());
      for (const PowerConverterTarget& target : found->members) {
        SetConverterState(target, target.snapshot(), time, response->add_converters());
      }
      return absl::OkStatus();
    });
  }

  grpc::ServerWriteReactor<v1::WatchStateResponse>* WatchState(
      Context context, const v1::WatchStateRequest* request) override {
    return WatchStream<v1::WatchStateResponse>::Start(
        rpc_, context,
        [&](const Caller&,
            Kicks kicks) -> absl::StatusOr<std::unique_ptr<MessageSource<v1::WatchStateResponse>>> {
          return MakeConverterWatch(&rpc_, *request, std::move(kicks));
        });
  }

  Unary GetProtection(Context context, const v1::GetProtectionRequest* request,
                      v1::GetProtectionResponse* response) override {
    return Read(context, request->device_id(), [&](const PowerConverterTarget& target) {
      SetFields(target.snapshot(), TimeView(rpc_.hub->clock()), response->mutable_protection());
    });
  }

  Unary GetVersions(Context context, const v1::GetVersionsRequest* request,
                    v1::GetVersionsResponse* response) override {
    return Read(context, request->device_id(), [&](const PowerConverterTarget& target) {
      const auto identity = [&](const char* key) -> std::string {
        const auto found = target.snapshot().identity().find(key);
        return found == target.snapshot().identity().end() ? "" : CleanText(found->second);
      };
      response->set_arm_hardware(identity(pc::identity::kArmHardware));
      response->set_arm_software(identity(pc::identity::kArmSoftware));
      response->set_dsp_hardware(identity(pc::identity::kDspHardware));
      response->set_dsp_software(identity(pc::identity::kDspSoftware));
    });
  }

  Unary GetSettings(Context context, const v1::GetSettingsRequest* request,
                    v1::GetSettingsResponse* response) override {
    return Read(context, request->device_id(), [&](const PowerConverterTarget& target) {
      const TimeView time(rpc_.hub->clock());
      const google::protobuf::Descriptor& type = *response->GetDescriptor();
      for (int i = 0; i < type.field_count(); ++i) {
        SetFields(target.snapshot(), time,
                  response->GetReflection()->MutableMessage(response, type.field(i)));
      }
    });
  }

  Unary ListModes(Context context, const v1::ListModesRequest* request,
                  v1::ListModesResponse* response) override {
    return Read(context, request->device_id(), [&](const PowerConverterTarget& target) {
      const ItemTable& items = target.snapshot().items();
      const std::optional<ItemId> mode = items.Find(pc::item::kMode);
      if (!mode) return;
      for (const ValueLabel& label : items.Spec(*mode).labels) {
        v1::PowerConverterModeInfo* info = response->add_modes();
        info->set_name(label.name);
        info->set_code(label.value);
        const FieldDescriptor* field =
            v1::PowerConverterMode::descriptor()->FindFieldByName(label.name);
        if (field == nullptr) continue;
        for (int i = 0; i < field->message_type()->field_count(); ++i) {
          info->add_parameters(field->message_type()->field(i)->name());
        }
      }
    });
  }

  Unary ListFaultCodes(Context context, const v1::ListFaultCodesRequest* request,
                       v1::ListFaultCodesResponse* response) override {
    return Read(context, request->device_id(), [&](const PowerConverterTarget& target) {
      for (const FaultCode& fault : target.driver().fault_codes) {
        SetFault(target.driver(), fault.code, response->add_faults());
      }
    });
  }

  // ------------------------------------------------------------------ acts

  Unary SetMode(Context context, const v1::SetModeRequest* request,
                v1::SetModeResponse* response) override {
    return Command(context, request, response, kSafeAfterFailure,
                   [&](const PowerConverterTarget& target, size_t members) -> Content {
                     absl::StatusOr<Arguments> arguments =
                         ModeArguments(target, pc::action::kSetMode, *request, members);
                     if (!arguments.ok()) return arguments.status();
                     arguments->emplace_back(pc::kStopFirstArgument,
                                             Value::Flag(request->stop_first()));
                     return target.Action(pc::action::kSetMode, *std::move(arguments));
                   });
  }

  Unary UpdateParameters(Context context, const v1::UpdateParametersRequest* request,
                         v1::UpdateParametersResponse* response) override {
    return Command(context, request, response, kSafeAfterFailure,
                   [&](const PowerConverterTarget& target, size_t members) -> Content {
                     absl::StatusOr<Arguments> arguments =
                         ModeArguments(target, pc::action::kUpdateParameters, *request, members);
                     if (!arguments.ok()) return arguments.status();
                     return target.Action(pc::action::kUpdateParameters, *std::move(arguments));
                   });
  }

  Unary Start(Context context, const v1::StartRequest* request,
              v1::StartResponse* response) override {
    return Command(context, request, response, kSafeAfterFailure,
                   [](const PowerConverterTarget& target, size_t) {
                     return target.Action(pc::action::kStart);
                   });
  }

  Unary Stop(Context context, const v1::StopRequest* request, v1::StopResponse* response) override {
    const char* const action = request->standby() ? pc::action::kStandby : pc::action::kStop;
    return Command(
        context, request, response, kNothingAfterFailure,
        [action](const PowerConverterTarget& target, size_t) { return target.Action(action); },
        Limited::kNo);
  }

  Unary ClearFaults(Context context, const v1::PowerConverterServiceClearFaultsRequest* request,
                    v1::PowerConverterServiceClearFaultsResponse* response) override {
    return Command(context, request, response, kNothingAfterFailure,
                   [](const PowerConverterTarget& target, size_t) {
                     return target.Action(pc::action::kClearFaults);
                   });
  }

  Unary SetProtection(Context context, const v1::SetProtectionRequest* request,
                      v1::SetProtectionResponse* response) override {
    return Command(context, request, response, kNothingAfterFailure,
                   [&](const PowerConverterTarget& target, size_t) -> Content {
                     return FieldsAction(target, pc::action::kSetProtection, request->protection(),
                                         "protection.", /*all=*/false);
                   });
  }

  Unary SetTime(Context context, const v1::SetTimeRequest* request,
                v1::SetTimeResponse* response) override {
    return Command(context, request, response, kNothingAfterFailure,
                   [&](const PowerConverterTarget& target, size_t) -> Content {
                     if (!request->has_time()) return target.Action(pc::action::kSetTime);
                     return FieldsAction(target, pc::action::kSetTime, request->time(), "time.",
                                         /*all=*/true);
                   });
  }

  Unary SetSetting(Context context, const v1::SetSettingRequest* request,
                   v1::SetSettingResponse* response) override {
    return Command(context, request, response, kNothingAfterFailure,
                   [&](const PowerConverterTarget& target, size_t) -> Content {
                     const FieldDescriptor* field =
                         request->GetReflection()->GetOneofFieldDescriptor(
                             *request, request->GetDescriptor()->oneof_decl(0));
                     if (field == nullptr) return MissingField("setting", "one of the settings");
                     return FieldsAction(target, pc::action::kSettingPrefix + field->name(),
                                         request->GetReflection()->GetMessage(*request, field),
                                         field->name() + ".", /*all=*/false);
                   });
  }

 private:
  enum AfterFailure { kNothingAfterFailure, kSafeAfterFailure };

  // `fill`: void(const PowerConverterTarget&).
  template <typename Fill>
  Unary Read(Context context, const std::string& device_id, Fill fill) {
    return Answer(rpc_, context, Role::kViewer, [&](const Caller&) {
      const absl::StatusOr<PowerConverterTarget> target =
          PowerConverterTarget::Find(*rpc_.hub, device_id);
      if (target.ok()) fill(*target);
      return target.status();
    });
  }

  // The same act on each converter that the request names. `make`:
  // absl::StatusOr<CommandContent>(const PowerConverterTarget&, size_t members), at once.
  template <typename Request, typename Response, typename Make>
  Unary Command(Context context, const Request* request, Response* response, AfterFailure after,
                Make make, Limited limited = Limited::kYes) {
    return AnswerGroup(
        rpc_, context, response,
        [&](const Caller& caller) -> absl::StatusOr<GroupCommands> {
          const absl::StatusOr<PowerConverters> found =
              FindConverters(*rpc_.hub, request->device_id(), /*all=*/false);
          if (!found.ok()) return found.status();
          GroupCommands commands{.group = found->group, .make_safe = after == kSafeAfterFailure};
          for (const PowerConverterTarget& target : found->members) {
            absl::StatusOr<CommandContent> content = make(target, found->members.size());
            if (!content.ok()) return OfDevice(target.id(), content.status());
            absl::StatusOr<CommandRequest> command = MakeCommand(
                rpc_, *context, caller, target.id(), *std::move(content), request->options());
            if (!command.ok()) return command.status();
            commands.commands.push_back(*std::move(command));
          }
          return commands;
        },
        limited);
  }

  static Content FieldsAction(const PowerConverterTarget& target, const std::string& name,
                              const Message& fields, const std::string& path, bool all) {
    const absl::StatusOr<const ActionSpec*> action = target.FindAction(name);
    if (!action.ok()) return action.status();
    absl::StatusOr<Arguments> arguments = ReadArguments(fields, **action, path, all);
    if (!arguments.ok()) return arguments.status();
    if (arguments->empty()) {
      return MissingField(path.substr(0, path.size() - 1), "at least one of its fields");
    }
    return target.Action(name, *std::move(arguments));
  }

  template <typename Request>
  static absl::StatusOr<Arguments> ModeArguments(const PowerConverterTarget& target,
                                                 const char* name, const Request& request,
                                                 size_t members) {
    const NamedMode mode = ModeOf(request.mode());
    if (mode.parameters == nullptr) {
      return MissingField("mode", "one of the modes, for example \"dc_constant_current\"");
    }
    const absl::StatusOr<const ActionSpec*> action = target.FindAction(name);
    if (!action.ok()) return action.status();
    absl::StatusOr<Arguments> arguments =
        ReadArguments(*mode.parameters, **action, "mode." + mode.name + ".", /*all=*/true);
    if (!arguments.ok()) return arguments.status();
    if (request.divide()) {
      if (absl::Status status = Divide(**action, members, &*arguments); !status.ok()) return status;
    }
    arguments->emplace_back(pc::kModeArgument, Value::Text(mode.name));
    return arguments;
  }

  RpcContext& rpc_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakePowerConverterService(RpcContext* rpc) {
  return std::make_unique<PowerConverterServiceImpl>(rpc);
}

}  // namespace canhub
