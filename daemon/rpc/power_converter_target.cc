#include "daemon/rpc/power_converter_target.h"

#include <algorithm>
#include <utility>

#include "daemon/rpc/clean_text.h"
#include "daemon/rpc/rpc_context.h"
#include "daemon/rpc/typed_fields.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

namespace pc = power_converter;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr char kUnknown[] = "unknown";

// GOOD integer of an item; nullopt otherwise.
std::optional<int64_t> GoodInteger(const DeviceSnapshot& snapshot, const TimeView& time,
                                   const char* name) {
  const std::optional<ItemId> item = snapshot.items().Find(name);
  if (!item) return std::nullopt;
  const Reading reading = snapshot.Read(*item);
  if (reading.EffectiveQuality(time.now()) != Quality::kGood) return std::nullopt;
  return static_cast<int64_t>(reading.value.AsNumber());
}

// The parameters' items in the order of the message's fields. A mode without all of them is not
// shown: half a set-point is none.
void SetMode(const DeviceSnapshot& snapshot, const TimeView& time, std::string_view label,
             v1::PowerConverterMode* out) {
  const FieldDescriptor* field = out->GetDescriptor()->FindFieldByName(std::string(label));
  if (field == nullptr) return;
  Message* mode = out->GetReflection()->MutableMessage(out, field);
  for (int i = 0; i < mode->GetDescriptor()->field_count(); ++i) {
    const std::string name = pc::item::kParameterPrefix + std::to_string(i + 1);
    const std::optional<ItemId> item = snapshot.items().Find(name);
    const Reading reading = item ? snapshot.Read(*item) : Reading();
    if (reading.EffectiveQuality(time.now()) != Quality::kGood) {
      out->Clear();
      return;
    }
    mode->GetReflection()->SetDouble(mode, mode->GetDescriptor()->field(i),
                                     reading.value.AsNumber());
  }
}

}  // namespace

absl::StatusOr<PowerConverterTarget> PowerConverterTarget::Find(Hub& hub,
                                                                const std::string& device_id) {
  absl::StatusOr<Hub::DeviceView> device = RequireDevice(hub, device_id);
  if (!device.ok()) return device.status();
  if (absl::Status kind = RequireKind(*device, pc::kKind); !kind.ok()) return kind;
  PowerConverterTarget target;
  target.device_ = *std::move(device);
  target.snapshot_ = hub.cache().Snapshot(target.device_.index);
  return target;
}

absl::StatusOr<const ActionSpec*> PowerConverterTarget::FindAction(
    const std::string& action) const {
  return RequireAction(device_, action);
}

absl::StatusOr<CommandContent> PowerConverterTarget::Action(const std::string& action,
                                                            Arguments arguments) const {
  const absl::StatusOr<const ActionSpec*> spec = FindAction(action);
  if (!spec.ok()) return spec.status();
  return CommandContent(ActionCall{action, std::move(arguments)});
}

absl::StatusOr<PowerConverters> FindConverters(Hub& hub, const std::string& device_id, bool all) {
  PowerConverters found;
  const auto add = [&](const std::string& id) {
    absl::StatusOr<PowerConverterTarget> target = PowerConverterTarget::Find(hub, id);
    if (target.ok()) found.members.push_back(*std::move(target));
    return target.status();
  };
  if (device_id.empty() && all) {
    for (const Hub::DeviceView& device : hub.devices()) {
      if (std::string_view(device.setup->driver->kind) != pc::kKind) continue;
      if (absl::Status status = add(device.setup->config.id); !status.ok()) return status;
    }
    if (found.members.empty()) {
      return MakeError(absl::StatusCode::kNotFound, "NO_POWER_CONVERTER",
                       "this daemon has no power converter");
    }
    return found;
  }
  for (const DeviceGroup& group : hub.groups()) {
    if (group.id != device_id) continue;
    found.group = &group;
    for (const std::string& id : group.device_ids) {
      if (absl::Status status = add(id); !status.ok()) return status;
    }
    return found;
  }
  if (absl::Status status = add(device_id); !status.ok()) return status;
  return found;
}

void SetFault(const DriverInfo& driver, int64_t code, v1::PowerConverterFault* out) {
  out->set_code(static_cast<int32_t>(code));
  for (const FaultCode& fault : driver.fault_codes) {
    if (fault.code != code) continue;
    out->set_meaning(fault.meaning);
    out->set_trigger(fault.trigger);
    out->set_remedy(fault.remedy);
    out->set_group(fault.group);
  }
}

void SetConverterState(const PowerConverterTarget& target, const DeviceSnapshot& snapshot,
                       const TimeView& time, v1::PowerConverterState* out) {
  SetFields(snapshot, time, out);
  out->set_device_id(target.id());
  out->set_state_name(kUnknown);
  const ItemTable& items = snapshot.items();
  if (const std::optional<ItemId> state = items.Find(pc::item::kState)) {
    const Reading reading = snapshot.Read(*state);
    out->set_quality(ToProto(reading.EffectiveQuality(time.now())));
    if (reading.value.has_value()) {
      SetTimestamp(time.ToWall(reading.read_time), out->mutable_read_time());
    }
    if (out->has_state()) {
      const std::string_view label = LabelOf(items.Spec(*state), out->state());
      if (!label.empty()) out->set_state_name(std::string(label));
    }
  } else {
    out->set_quality(v1::QUALITY_NEVER_READ);
  }
  if (const std::optional<ItemId> mode = items.Find(pc::item::kMode); mode && out->has_mode()) {
    SetMode(snapshot, time, LabelOf(items.Spec(*mode), out->mode()), out->mutable_mode_set());
    if (out->mode_set().mode_case() == v1::PowerConverterMode::MODE_NOT_SET) out->clear_mode_set();
  }
  const std::optional<int64_t> fault = GoodInteger(snapshot, time, pc::item::kFaultCode);
  if (fault && (*fault != 0 || out->is_faulty())) {
    SetFault(target.driver(), *fault, out->mutable_fault());
  }
  out->set_simulated(target.simulated());
}

NamedMode ModeOf(const v1::PowerConverterMode& mode) {
  const FieldDescriptor* field = mode.GetReflection()->GetOneofFieldDescriptor(
      mode, v1::PowerConverterMode::descriptor()->oneof_decl(0));
  if (field == nullptr) return {};
  return {field->name(), &mode.GetReflection()->GetMessage(mode, field)};
}

}  // namespace canhub
