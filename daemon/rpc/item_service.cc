// ItemService: descriptors, readings, writes, watches.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "canhub/v1/item_service.grpc.pb.h"
#include "daemon/rpc/call.h"
#include "daemon/rpc/clean_text.h"
#include "daemon/rpc/convert.h"
#include "daemon/rpc/item_query.h"
#include "daemon/rpc/item_watch.h"
#include "daemon/rpc/reading_bytes.h"
#include "daemon/rpc/services.h"
#include "daemon/rpc/set_items.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

// A device that does not answer a read within this, does not answer.
constexpr Duration kRefreshTimeout = seconds(5);
// Below it, "at least this often" is better served by "every change".
constexpr Duration kMinMaxInterval = milliseconds(10);
constexpr Duration kMaxInterval = hours(24);
constexpr int kMaxNames = 4096;
// A driver's reason when it has read all it was asked for, but items that this very device does
// not have although its family does.
constexpr char kReasonItemNotAvailable[] = "ITEM_NOT_AVAILABLE";

absl::Status CheckNames(int count, std::string_view field) {
  if (count == 0) return MissingField(field, "at least one name or pattern, such as \"hv0/*\"");
  if (count > kMaxNames) {
    return InvalidField(field, std::to_string(count) + " names",
                        "at most " + std::to_string(kMaxNames));
  }
  return absl::OkStatus();
}

v1::ValueType ToProto(ValueType type) {
  switch (type) {
    case ValueType::kNone:
      return v1::VALUE_TYPE_UNSPECIFIED;
    case ValueType::kFlag:
      return v1::VALUE_TYPE_FLAG;
    case ValueType::kInteger:
      return v1::VALUE_TYPE_INTEGER;
    case ValueType::kNumber:
      return v1::VALUE_TYPE_NUMBER;
    case ValueType::kText:
      return v1::VALUE_TYPE_TEXT;
  }
  return v1::VALUE_TYPE_UNSPECIFIED;
}

v1::Access ToProto(Access access) {
  switch (access) {
    case Access::kReadOnly:
      return v1::ACCESS_READ_ONLY;
    case Access::kReadWrite:
      return v1::ACCESS_READ_WRITE;
    case Access::kWriteOnly:
      return v1::ACCESS_WRITE_ONLY;
  }
  return v1::ACCESS_UNSPECIFIED;
}

// What can be written now: the device's range, narrowed by the configured limit, which bounds the
// magnitude.
ItemRange WritableRange(const DeviceSnapshot& snapshot, ItemId item, const DeviceConfig& config) {
  const ItemSpec& spec = snapshot.items().Spec(item);
  ItemRange range = snapshot.Range(item);
  if (spec.access == Access::kReadOnly || *spec.limit == '\0') return range;
  const auto limit = config.limits.find(spec.limit);
  if (limit == config.limits.end()) return range;
  range.maximum = std::min(range.maximum.value_or(limit->second), limit->second);
  if (range.minimum) range.minimum = std::max(*range.minimum, -limit->second);
  return range;
}

void SetDescriptor(const std::string& device_id, const DeviceSnapshot& snapshot, ItemId item,
                   const DeviceConfig& config, v1::ItemDescriptor* out) {
  const ItemTable& items = snapshot.items();
  const ItemSpec& spec = items.Spec(item);
  out->set_name(device_id + "/" + items.Name(item));
  out->set_alias(spec.alias);
  out->set_type(ToProto(spec.type));
  out->set_unit(spec.unit);
  out->set_access(ToProto(spec.access));
  if (spec.access != Access::kReadOnly) {
    const ItemRange range = WritableRange(snapshot, item, config);
    if (range.minimum) out->set_minimum(*range.minimum);
    if (range.maximum) out->set_maximum(*range.maximum);
  }
  out->set_description(spec.description);
  out->set_source(spec.source);
  out->set_confidence(std::string(ToString(spec.confidence)));
  for (const ValueLabel& label : spec.labels) (*out->mutable_labels())[label.value] = label.name;
  const Reading reading = snapshot.Read(item);
  if (reading.value.has_value() && reading.good_until > reading.read_time &&
      reading.good_until != kNever) {
    SetDuration(reading.good_until - reading.read_time, out->mutable_good_for());
  }
}

grpc::ByteBuffer ToBytes(const RpcContext& rpc, const ItemMatches& matches,
                         const ReadingFields& fields) {
  ReadingBytes readings(rpc.hub->cache(), rpc.simulated, fields);
  for (const ItemMatch& match : matches.items) {
    readings.Add(*match.snapshot, match.device, match.item);
  }
  const grpc::Slice bytes = readings.bytes();
  return grpc::ByteBuffer(&bytes, 1);
}

// Reads from the devices what is older than max_age, then answers.
class FreshRead : public std::enable_shared_from_this<FreshRead> {
 public:
  FreshRead(RpcContext* rpc, std::shared_ptr<PendingCall> call, grpc::ByteBuffer* response,
            std::vector<std::string> names, const ReadingFields& fields)
      : rpc_(rpc),
        call_(std::move(call)),
        response_(response),
        names_(std::move(names)),
        fields_(fields) {}

  void Run(const ItemMatches& matches, Duration max_age, MonoTime deadline) {
    const MonoTime now = rpc_->hub->clock().Now();
    std::map<DeviceIndex, Old> old;
    size_t reads = 0;
    for (const ItemMatch& match : matches.items) {
      const ItemTable& items = match.snapshot->items();
      if (items.Spec(match.item).access == Access::kWriteOnly) continue;
      const Reading reading = match.snapshot->Read(match.item);
      const bool fresh = max_age > Duration(0) && reading.EffectiveQuality(now) == Quality::kGood &&
                         now - reading.read_time <= max_age;
      if (fresh) continue;
      Old& of_device = old[match.device];
      (match.exact ? of_device.named : of_device.matched).insert(items.Storage(match.item));
    }
    for (auto& [device, items] : old) {
      for (const ItemId item : items.named) items.matched.erase(item);
      reads += (items.named.empty() ? 0 : 1) + (items.matched.empty() ? 0 : 1);
    }
    {
      MutexLock lock(&mutex_);
      waiting_ = reads + 1;  // one is this function itself
    }
    for (const auto& [device, items] : old) {
      Refresh(device, items.named, deadline, /*by_name=*/true);
      Refresh(device, items.matched, deadline, /*by_name=*/false);
    }
    Done(0, absl::OkStatus());
  }

 private:
  // What is to be read from one device.
  struct Old {
    std::set<ItemId> named;    // asked for by name: all of them must be read
    std::set<ItemId> matched;  // by pattern only: those the device does not have stay BAD
  };

  void Refresh(DeviceIndex device, const std::set<ItemId>& items, MonoTime deadline, bool by_name) {
    if (items.empty()) return;
    rpc_->hub->Refresh(device, {items.begin(), items.end()}, deadline,
                       [self = shared_from_this(), device, by_name](absl::Status status) {
                         if (!by_name && GetErrorInfo(status).reason == kReasonItemNotAvailable) {
                           status = absl::OkStatus();
                         }
                         self->Done(device, std::move(status));
                       });
  }

  void Done(DeviceIndex device, absl::Status status) {
    absl::Status result;
    {
      MutexLock lock(&mutex_);
      if (!status.ok() && status_.ok()) {
        status_ = std::move(status);
        failed_ = device;
      }
      if (--waiting_ > 0) return;
      result = status_;
    }
    call_->Finish([&] {
      if (!result.ok()) {
        const std::string& id = rpc_->hub->cache().DeviceId(failed_);
        return Annotate(result, id + ": not read from the device: ", {{"device_id", id}});
      }
      const absl::StatusOr<ItemMatches> matches = MatchItems(rpc_->hub->cache(), names_);
      if (!matches.ok()) return matches.status();
      *response_ = ToBytes(*rpc_, *matches, fields_);
      return absl::OkStatus();
    });
  }

  RpcContext* const rpc_;  // used only while the call is not over
  const std::shared_ptr<PendingCall> call_;
  grpc::ByteBuffer* const response_;
  const std::vector<std::string> names_;
  const ReadingFields fields_;
  Mutex mutex_;
  size_t waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  DeviceIndex failed_ = 0;
};

// What carries many readings, or goes to many streams, is made as bytes.
using ItemServiceBase = v1::ItemService::WithRawCallbackMethod_GetItems<
    v1::ItemService::WithRawCallbackMethod_WatchItems<v1::ItemService::CallbackService>>;

class ItemServiceImpl final : public ItemServiceBase {
 public:
  explicit ItemServiceImpl(RpcContext* rpc)
      : rpc_(*rpc), watched_(rpc->hub->cache(), rpc->simulated) {}

  grpc::ServerUnaryReactor* ListItems(grpc::CallbackServerContext* context,
                                      const v1::ListItemsRequest* request,
                                      v1::ListItemsResponse* response) override {
    return Answer(rpc_, context, Role::kViewer, [&](const Caller&) -> absl::Status {
      std::vector<std::string> patterns = ToVector(request->patterns());
      if (!request->device_id().empty()) {
        const absl::StatusOr<Hub::DeviceView> device =
            RequireDevice(*rpc_.hub, request->device_id());
        if (!device.ok()) return device.status();
        if (!patterns.empty()) {
          return InvalidField("patterns", "patterns and device_id", "one of the two");
        }
        patterns.push_back(request->device_id() + "/*");
      }
      if (patterns.empty()) patterns.push_back("*/*");
      if (const absl::Status status = CheckNames(static_cast<int>(patterns.size()), "patterns");
          !status.ok()) {
        return status;
      }
      const absl::StatusOr<ItemMatches> matches = MatchItems(rpc_.hub->cache(), patterns);
      if (!matches.ok()) return matches.status();
      const DeviceConfig no_config;  // of the safety system's own items
      std::map<DeviceIndex, const DeviceConfig*> configs;
      for (const Hub::DeviceView& device : rpc_.hub->devices()) {
        configs[device.index] = &device.setup->config;
      }
      for (const ItemMatch& match : matches->items) {
        const auto config = configs.find(match.device);
        SetDescriptor(rpc_.hub->cache().DeviceId(match.device), *match.snapshot, match.item,
                      config == configs.end() ? no_config : *config->second, response->add_items());
      }
      return absl::OkStatus();
    });
  }

  grpc::ServerUnaryReactor* GetItems(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* bytes,
                                     grpc::ByteBuffer* response) override {
    v1::GetItemsRequest request;
    absl::Status parsed = ParseBytes(*bytes, &request);
    if (!parsed.ok() || !request.has_max_age()) {
      return Answer(rpc_, context, Role::kViewer, [&](const Caller&) {
        if (!parsed.ok()) return parsed;
        const absl::StatusOr<ReadingFields> fields = ReadFields(request.read_mask());
        if (!fields.ok()) return fields.status();
        const absl::StatusOr<ItemMatches> matches = Match(request);
        if (!matches.ok()) return matches.status();
        *response = ToBytes(rpc_, *matches, *fields);
        return absl::OkStatus();
      });
    }
    return AnswerLater(
        rpc_, context, Role::kViewer, [&](const Caller&, std::shared_ptr<PendingCall> call) {
          const absl::StatusOr<Duration> max_age =
              ReadDuration(request.max_age(), "max_age", Duration(0), kMaxInterval);
          if (!max_age.ok()) return call->End(max_age.status());
          const absl::StatusOr<ReadingFields> fields = ReadFields(request.read_mask());
          if (!fields.ok()) return call->End(fields.status());
          const absl::StatusOr<ItemMatches> matches = Match(request);
          if (!matches.ok()) return call->End(matches.status());
          const MonoTime deadline =
              std::min(DeadlineOf(rpc_, *context), rpc_.hub->clock().Now() + kRefreshTimeout);
          std::make_shared<FreshRead>(&rpc_, std::move(call), response, ToVector(request.names()),
                                      *fields)
              ->Run(*matches, *max_age, deadline);
        });
  }

  grpc::ServerUnaryReactor* SetItems(grpc::CallbackServerContext* context,
                                     const v1::SetItemsRequest* request,
                                     v1::SetItemsResponse* response) override {
    return AnswerSetItems(rpc_, context, *request, response);
  }

  grpc::ServerWriteReactor<grpc::ByteBuffer>* WatchItems(grpc::CallbackServerContext* context,
                                                         const grpc::ByteBuffer* bytes) override {
    return WatchStream<grpc::ByteBuffer>::Start(
        rpc_, context,
        [&](const Caller&,
            Kicks kicks) -> absl::StatusOr<std::unique_ptr<MessageSource<grpc::ByteBuffer>>> {
          v1::WatchItemsRequest request;
          if (absl::Status parsed = ParseBytes(*bytes, &request); !parsed.ok()) return parsed;
          const absl::StatusOr<ItemWatchOptions> options = ReadOptions(request);
          if (!options.ok()) return options.status();
          return MakeItemWatch(&rpc_, *options, std::move(kicks));
        });
  }

 private:
  absl::StatusOr<ItemMatches> Match(const v1::GetItemsRequest& request) const {
    const absl::Status status = CheckNames(request.names_size(), "names");
    if (!status.ok()) return status;
    return MatchItems(rpc_.hub->cache(), request.names());
  }

  absl::StatusOr<ItemWatchOptions> ReadOptions(const v1::WatchItemsRequest& request) {
    const absl::Status status = CheckNames(request.names_size(), "names");
    if (!status.ok()) return status;
    ItemWatchOptions options;
    options.names = ToVector(request.names());
    const absl::StatusOr<ReadingFields> fields = ReadFields(request.read_mask());
    if (!fields.ok()) return fields.status();
    options.readings = watched_.Of(options.names, *fields);
    if (request.has_min_interval()) {
      const absl::StatusOr<Duration> interval =
          ReadDuration(request.min_interval(), "min_interval", Duration(0), kMaxInterval);
      if (!interval.ok()) return interval.status();
      options.min_interval = *interval;
    }
    if (request.has_max_interval()) {
      const absl::StatusOr<Duration> interval =
          ReadDuration(request.max_interval(), "max_interval",
                       std::max(kMinMaxInterval, options.min_interval), kMaxInterval);
      if (!interval.ok()) return interval.status();
      options.max_interval = *interval;
    }
    return options;
  }

  RpcContext& rpc_;
  SharedReadingsTable watched_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeItemService(RpcContext* rpc) {
  return std::make_unique<ItemServiceImpl>(rpc);
}

}  // namespace canhub
