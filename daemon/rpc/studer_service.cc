// StuderService: typed views of items, actions and alarms of the kind "studer".
#include <algorithm>
#include <charconv>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "canhub/v1/studer_service.grpc.pb.h"
#include "daemon/rpc/alarm_watch.h"
#include "daemon/rpc/call.h"
#include "daemon/rpc/clean_text.h"
#include "daemon/rpc/command_call.h"
#include "daemon/rpc/convert.h"
#include "daemon/rpc/services.h"
#include "daemon/rpc/typed_fields.h"
#include "drivers/api/errors.h"
#include "drivers/api/studer.h"

namespace canhub {
namespace {

using absl::StatusCode;

// A parameter takes three questions, each at most a second and asked twice.
constexpr Duration kReadTimeout = std::chrono::seconds(8);
constexpr Duration kMaxAge = std::chrono::hours(24);
constexpr uint32_t kDefaultHits = 20;

uint32_t IdOf(std::string_view text) {
  uint32_t id = 0;
  std::from_chars(text.data(), text.data() + text.size(), id);
  return id;
}

void SetHit(const CatalogueHit& hit, v1::StuderObject* out) {
  out->set_unit_kind(hit.unit);
  out->set_id(IdOf(hit.id));
  out->set_item(hit.item);
  out->set_title(hit.title);
  out->set_unit(hit.measure);
  out->set_description(hit.description);
  out->set_writable(hit.writable);
  if (hit.default_value) out->set_default_value(*hit.default_value);
  if (hit.minimum) out->set_minimum(*hit.minimum);
  if (hit.maximum) out->set_maximum(*hit.maximum);
  for (const ValueLabel& label : hit.labels) (*out->mutable_labels())[label.value] = label.name;
}

std::string LabelText(const ItemSpec& spec, const Reading& reading, MonoTime now) {
  if (reading.EffectiveQuality(now) != Quality::kGood ||
      reading.value.type() != ValueType::kInteger) {
    return "";
  }
  return std::string(LabelOf(spec, reading.value.integer()));
}

// False: an alarm that is no message, or of none of these devices.
bool SetMessage(const std::vector<Hub::DeviceView>& devices, const AlarmRecord& alarm,
                v1::StuderMessage* out) {
  const std::string prefix = studer::kMessageAlarm;
  const bool listed = std::any_of(
      devices.begin(), devices.end(),
      [&](const Hub::DeviceView& device) { return device.setup->config.id == alarm.device_id; });
  if (!listed || !alarm.code.starts_with(prefix)) return false;
  out->set_device_id(alarm.device_id);
  out->set_number(IdOf(alarm.code.substr(prefix.size())));
  out->set_text(CleanText(alarm.text));
  SetTimestamp(alarm.first_time, out->mutable_first_time());
  SetTimestamp(alarm.last_time, out->mutable_last_time());
  out->set_count(alarm.count);
  out->set_active(alarm.active);
  out->set_acknowledged(alarm.acknowledged);
  return true;
}

class StuderServiceImpl final : public v1::StuderService::CallbackService {
 private:
  using Unary = grpc::ServerUnaryReactor*;
  using Context = grpc::CallbackServerContext*;

 public:
  explicit StuderServiceImpl(RpcContext* rpc) : rpc_(*rpc) {}

  // ------------------------------------------------------------------ reads

  Unary ReadUserInfo(Context context, const v1::ReadUserInfoRequest* request,
                     v1::ReadUserInfoResponse* response) override {
    return AnswerLater(
        rpc_, context, Role::kViewer, [&](const Caller&, std::shared_ptr<PendingCall> call) {
          absl::StatusOr<Duration> max_age = Duration(0);
          if (request->has_max_age()) {
            max_age = ReadDuration(request->max_age(), "max_age", Duration(0), kMaxAge);
          }
          if (!max_age.ok()) return call->End(max_age.status());
          const absl::StatusOr<Object> object =
              FindObject(request->device_id(), request->info(), false);
          if (!object.ok()) return call->End(object.status());
          Fresh(*context, *object, *max_age, std::move(call), [this, object = *object, response] {
            const auto snapshot = rpc_.hub->cache().Snapshot(object.device.index);
            const TimeView time(rpc_.hub->clock());
            const Reading reading = snapshot->Read(object.item);
            const ItemSpec& spec = snapshot->items().Spec(object.item);
            response->set_id(IdOf(spec.alias));
            Set(object, *snapshot, object.item, time, response->mutable_reading());
            response->set_label(LabelText(spec, reading, time.now()));
          });
        });
  }

  Unary ReadParameter(Context context, const v1::ReadParameterRequest* request,
                      v1::ReadParameterResponse* response) override {
    return AnswerLater(
        rpc_, context, Role::kViewer, [&](const Caller&, std::shared_ptr<PendingCall> call) {
          const absl::StatusOr<Object> object =
              FindObject(request->device_id(), request->parameter(), true);
          if (!object.ok()) return call->End(object.status());
          Fresh(*context, *object, Duration(0), std::move(call),
                [this, object = *object, response] {
                  const auto snapshot = rpc_.hub->cache().Snapshot(object.device.index);
                  const TimeView time(rpc_.hub->clock());
                  const ItemSpec& spec = snapshot->items().Spec(object.item);
                  const std::string name = snapshot->items()
                                               .Name(object.item)
                                               .substr(std::string(studer::kParameterItems).size());
                  response->set_id(IdOf(spec.alias));
                  response->set_name(name);
                  Set(object, *snapshot, object.item, time, response->mutable_ram());
                  if (const auto flash = snapshot->items().Find(studer::kFlashItems + name)) {
                    Set(object, *snapshot, *flash, time, response->mutable_flash());
                  }
                  const ItemRange range = snapshot->Range(object.item);
                  if (range.minimum) response->set_minimum(*range.minimum);
                  if (range.maximum) response->set_maximum(*range.maximum);
                  response->set_label(LabelText(spec, snapshot->Read(object.item), time.now()));
                });
        });
  }

  Unary ListMessages(Context context, const v1::ListMessagesRequest* request,
                     v1::ListMessagesResponse* response) override {
    return Answer(rpc_, context, Role::kViewer, [&](const Caller&) {
      const absl::StatusOr<std::vector<Hub::DeviceView>> devices = Devices(request->device_id());
      if (!devices.ok()) return devices.status();
      for (const AlarmRecord& alarm : rpc_.hub->alarms().List({.device_id = request->device_id(),
                                      .include_history = request->include_history(),
                                      .include_shelved = true})) {
        v1::StuderMessage message;
        if (SetMessage(*devices, alarm, &message)) *response->add_messages() = std::move(message);
      }
      return absl::OkStatus();
    });
  }

  grpc::ServerWriteReactor<v1::WatchMessagesResponse>* WatchMessages(
      Context context, const v1::WatchMessagesRequest* request) override {
    using Response = v1::WatchMessagesResponse;
    return WatchStream<Response>::Start(
        rpc_, context,
        [&](const Caller&,
            Kicks kicks) -> absl::StatusOr<std::unique_ptr<MessageSource<Response>>> {
          absl::StatusOr<std::vector<Hub::DeviceView>> devices = Devices(request->device_id());
          if (!devices.ok()) return devices.status();
          return std::make_unique<AlarmSource<Response>>(
              &rpc_, request->device_id(), std::move(kicks),
              [devices = *std::move(devices)](const AlarmRecord& alarm, Response* out) {
                v1::StuderMessage message;
                if (!SetMessage(devices, alarm, &message)) return false;
                *out->mutable_message() = std::move(message);
                return true;
              });
        });
  }

  Unary SearchCatalogue(Context context, const v1::SearchCatalogueRequest* request,
                        v1::SearchCatalogueResponse* response) override {
    return Answer(rpc_, context, Role::kViewer, [&](const Caller&) {
      if (request->words().empty()) {
        return MissingField("words", "words to look for, such as \"battery voltage\"");
      }
      const absl::StatusOr<std::vector<Hub::DeviceView>> devices = Devices(request->device_id());
      if (!devices.ok()) return devices.status();
      if (devices->empty()) {
        return MakeError(StatusCode::kNotFound, "NO_STUDER_DEVICE",
                         "no device of the kind \"studer\" is configured");
      }
      const DriverInfo& driver = *devices->front().setup->driver;
      const uint32_t limit = request->limit() == 0 ? kDefaultHits : request->limit();
      uint32_t total = 0;
      for (const CatalogueHit& hit : driver.search(request->words())) {
        if (!request->device_id().empty() && !Has(devices->front(), hit)) continue;
        if (total++ < limit) SetHit(hit, response->add_objects());
      }
      response->set_total(total);
      return absl::OkStatus();
    });
  }

  Unary GetFlashWear(Context context, const v1::GetFlashWearRequest* request,
                     v1::GetFlashWearResponse* response) override {
    return Answer(rpc_, context, Role::kViewer, [&](const Caller&) {
      const absl::StatusOr<std::vector<Hub::DeviceView>> devices = Devices(request->device_id());
      if (!devices.ok()) return devices.status();
      for (const Hub::DeviceView& device : *devices) AddWear(device, response);
      return absl::OkStatus();
    });
  }

  // ------------------------------------------------------------------ acts

  Unary WriteParameter(Context context, const v1::WriteParameterRequest* request,
                       v1::WriteParameterResponse* response) override {
    return Command(
        context, request, response,
        [&]() -> absl::StatusOr<CommandContent> {
          const absl::StatusOr<Object> object =
              FindObject(request->device_id(), request->parameter(), true);
          if (!object.ok()) return object.status();
          ActionCall call;
          call.name = request->part() == v1::STUDER_PART_FLASH ? studer::action::kWriteFlash
                                                               : studer::action::kWriteParameter;
          call.arguments = {{studer::action::kArgumentParameter, Value::Text(object->id)},
                            {studer::action::kArgumentForce, Value::Flag(request->force())}};
          if (request->has_value() == !request->label().empty()) {
            return MissingField("value", "a value, or a label, and not both");
          }
          if (request->has_value()) {
            absl::StatusOr<Value> value = ReadFinite("value", request->value());
            if (!value.ok()) return value.status();
            call.arguments.emplace_back(studer::action::kArgumentValue, *std::move(value));
          } else {
            call.arguments.emplace_back(studer::action::kArgumentLabel,
                                        Value::Text(request->label()));
          }
          return CommandContent(std::move(call));
        },
        [response](const CommandResult& result) {
          using namespace studer;
          if (const Value* v = FindArgument(result.results, action::kResultWritten)) {
            SetValue(*v, response->mutable_written());
          }
          if (const Value* v = FindArgument(result.results, action::kResultPart)) {
            response->set_part(v->text() == "ram" ? v1::STUDER_PART_RAM : v1::STUDER_PART_FLASH);
          }
          if (const Value* v = FindArgument(result.results, action::kResultSkipped)) {
            response->set_skipped(v->flag());
          }
          if (const Value* v = FindArgument(result.results, action::kResultFlashWrites)) {
            response->set_flash_writes(static_cast<uint32_t>(v->integer()));
          }
          if (const Value* v = FindArgument(result.results, action::kResultWarning)) {
            response->set_warning(v->text());
          }
        });
  }

  Unary TriggerSignal(Context context, const v1::TriggerSignalRequest* request,
                      v1::TriggerSignalResponse* response) override {
    return Command(context, request, response, [&]() -> absl::StatusOr<CommandContent> {
      const absl::StatusOr<Object> object =
          FindObject(request->device_id(), request->signal(), true);
      if (!object.ok()) return object.status();
      return CommandContent(ActionCall{
          studer::action::kTrigger, {{studer::action::kArgumentSignal, Value::Text(object->id)}}});
    });
  }

  Unary SwitchUnit(Context context, const v1::SwitchUnitRequest* request,
                   v1::SwitchUnitResponse* response) override {
    return Command(context, request, response, [&]() -> absl::StatusOr<CommandContent> {
      const absl::StatusOr<Hub::DeviceView> device = Find(request->device_id());
      if (!device.ok()) return device.status();
      if (!request->has_on()) return MissingField("on", "true or false");
      return CommandContent(
          ActionCall{request->on() ? studer::action::kSwitchOn : studer::action::kSwitchOff, {}});
    });
  }

  Unary Scan(Context context, const v1::ScanRequest* request, v1::ScanResponse* response) override {
    return Command(
        context, request, response,
        [&]() -> absl::StatusOr<CommandContent> {
          const absl::StatusOr<Hub::DeviceView> device = Find(request->device_id());
          if (!device.ok()) return device.status();
          return CommandContent(ActionCall{studer::action::kScan, {}});
        },
        [response](const CommandResult& result) {
          const Value* units = FindArgument(result.results, studer::action::kResultUnits);
          std::string_view text = units == nullptr ? std::string_view() : units->text();
          while (!text.empty()) {
            const size_t end = std::min(text.find(", "), text.size());
            response->add_units(std::string(text.substr(0, end)));
            text.remove_prefix(std::min(end + 2, text.size()));
          }
        });
  }

 private:
  // An info or parameter of a device.
  struct Object {
    Hub::DeviceView device;
    ItemId item = 0;
    std::string id;  // the vendor's
  };

  absl::StatusOr<Hub::DeviceView> Find(const std::string& device_id) const {
    return RequireDeviceOfKind(*rpc_.hub, device_id, studer::kKind);
  }

  // One, or all of the kind.
  absl::StatusOr<std::vector<Hub::DeviceView>> Devices(const std::string& device_id) const {
    return DevicesOfKind(*rpc_.hub, device_id, studer::kKind);
  }

  bool Has(const Hub::DeviceView& device, const CatalogueHit& hit) const {
    const auto item = rpc_.hub->cache().Snapshot(device.index)->items().Find(hit.item);
    if (!item) return false;
    // The same name may be there for another id.
    return rpc_.hub->cache().Snapshot(device.index)->items().Spec(*item).alias == hit.id;
  }

  absl::StatusOr<Object> FindObject(const std::string& device_id, const std::string& name,
                                    bool parameter) const {
    absl::StatusOr<Hub::DeviceView> device = Find(device_id);
    if (!device.ok()) return device.status();
    const char* const what = parameter ? "parameter" : "info";
    if (name.empty()) {
      return MissingField(
          what, parameter ? "an id or name, such as \"1107\"" : "an id or name, such as \"3000\"");
    }
    const auto snapshot = rpc_.hub->cache().Snapshot(device->index);
    const ItemTable& items = snapshot->items();
    std::optional<ItemId> item = items.Find(name);
    const auto is_parameter = [&](ItemId id) {
      return items.Name(id).starts_with(studer::kParameterItems);
    };
    if (parameter && !(item && is_parameter(*item))) {
      item = items.Find(studer::kParameterItems + name);
    }
    const bool catalogued = item && IdOf(items.Spec(*item).alias) != 0;
    if (!catalogued || is_parameter(*item) != parameter) {
      return NotFound(*device, name, parameter);
    }
    return Object{*device, *item, items.Spec(*item).alias};
  }

  // Says whose it is, where the catalogue knows.
  absl::Status NotFound(const Hub::DeviceView& device, const std::string& name,
                        bool parameter) const {
    const std::string clean = CleanText(name);
    const DeviceSetup& setup = *device.setup;
    std::string text = setup.config.id + " (" + setup.driver->address(setup.config) + ") has no " +
                       (parameter ? "parameter" : "info") + " \"" + clean + "\"";
    for (const CatalogueHit& hit : device.setup->driver->search(name)) {
      if (hit.id != name && hit.item != name && hit.item != studer::kParameterItems + name)
        continue;
      text += "; " + hit.id + " (" + hit.title + ") is " +
              (hit.item.starts_with(studer::kParameterItems) ? "a parameter" : "an info") +
              " of a " + hit.unit;
      break;
    }
    return MakeError(StatusCode::kNotFound, parameter ? "PARAMETER_UNKNOWN" : "INFO_UNKNOWN",
                     text + "; SearchCatalogue finds them; nothing was sent",
                     {{"device_id", device.setup->config.id}, {"name", clean}});
  }

  // Reads the object unless its reading is young enough, then calls `fill`.
  template <typename Fill>
  void Fresh(const grpc::CallbackServerContext& context, const Object& object, Duration max_age,
             std::shared_ptr<PendingCall> call, Fill fill) {
    const MonoTime now = rpc_.hub->clock().Now();
    const Reading reading = rpc_.hub->cache().Snapshot(object.device.index)->Read(object.item);
    const bool young = max_age > Duration(0) && reading.EffectiveQuality(now) == Quality::kGood &&
                       now - reading.read_time <= max_age;
    const auto finish = [call, fill = std::move(fill),
                         id = object.device.setup->config.id](const absl::Status& status) {
      call->Finish([&] {
        if (!status.ok()) return OfDevice(id, status);
        fill();
        return absl::OkStatus();
      });
    };
    if (young) return finish(absl::OkStatus());
    rpc_.hub->Refresh(object.device.index, {object.item},
                      std::min(DeadlineOf(rpc_, context), now + kReadTimeout), finish);
  }

  void Set(const Object& object, const DeviceSnapshot& snapshot, ItemId item, const TimeView& time,
           v1::Reading* out) const {
    SetReading(snapshot.Read(item), object.device.setup->config.id, snapshot.items(), item,
               rpc_.simulated[object.device.index], time, out);
  }

  // "1107=12 1138=3".
  void AddWear(const Hub::DeviceView& device, v1::GetFlashWearResponse* out) const {
    const auto snapshot = rpc_.hub->cache().Snapshot(device.index);
    const std::optional<ItemId> wear = snapshot->items().Find(studer::kFlashWearItem);
    if (!wear || !snapshot->Read(*wear).value.has_value()) return;
    const Value value = snapshot->Read(*wear).value;
    std::string_view text = value.text();
    while (!text.empty()) {
      const size_t end = std::min(text.find(' '), text.size());
      const std::string_view pair = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      const size_t equals = std::min(pair.find('='), pair.size());
      v1::FlashWear* parameter = out->add_parameters();
      parameter->set_device_id(device.setup->config.id);
      parameter->set_id(IdOf(pair.substr(0, equals)));
      const auto item = snapshot->items().Find(pair.substr(0, equals));
      if (item) {
        parameter->set_name(
            snapshot->items().Name(*item).substr(std::string(studer::kParameterItems).size()));
      }
      parameter->set_writes(IdOf(pair.substr(std::min(equals + 1, pair.size()))));
      parameter->set_guaranteed(studer::kGuaranteedFlashWrites);
    }
  }

  template <typename Request, typename Response, typename Content, typename Fill>
  Unary Command(Context context, const Request* request, Response* response, Content content,
                Fill fill) {
    return AnswerCommand(
        rpc_, context, response,
        [&](const Caller& caller) -> absl::StatusOr<CommandRequest> {
          absl::StatusOr<CommandContent> what = content();
          if (!what.ok()) return what.status();
          return MakeCommand(rpc_, *context, caller, request->device_id(), *std::move(what),
                             request->options());
        },
        std::move(fill));
  }
  template <typename Request, typename Response, typename Content>
  Unary Command(Context context, const Request* request, Response* response, Content content) {
    return Command(context, request, response, std::move(content), [](const CommandResult&) {});
  }

  RpcContext& rpc_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeStuderService(RpcContext* rpc) {
  return std::make_unique<StuderServiceImpl>(rpc);
}

}  // namespace canhub
