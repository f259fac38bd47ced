#include "daemon/rpc/reading_bytes.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <algorithm>

#include "canhub/v1/item_service.pb.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedOutputStream;

constexpr int kReadings = v1::GetItemsResponse::kReadingsFieldNumber;
static_assert(kReadings == int{v1::WatchItemsResponse::kReadingsFieldNumber});
constexpr uint32_t kReadingsTag =
    WireFormatLite::MakeTag(kReadings, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
// Of a tag and a length.
constexpr size_t kLongestHead = 10;

}  // namespace

ReadingBytes::ReadingBytes(const StateCache& cache, const std::vector<bool>& simulated,
                           const ReadingFields& fields)
    : cache_(cache), simulated_(simulated), fields_(fields), time_(cache.clock()) {}

void ReadingBytes::Add(const DeviceSnapshot& snapshot, DeviceIndex device, ItemId item) {
  const Reading reading = snapshot.Read(item);
  if (reading.EffectiveQuality(time_.now()) == Quality::kGood) {
    good_until_ = std::min(good_until_, reading.good_until);
  }
  reading_.Clear();
  SetReading(reading, cache_.DeviceId(device), snapshot.items(), item, simulated_[device], time_,
             &reading_, fields_);
  const size_t size = reading_.ByteSizeLong();
  const size_t at = bytes_.size();
  bytes_.resize(at + kLongestHead + size);
  auto* const begin = reinterpret_cast<uint8_t*>(bytes_.data());
  uint8_t* end = CodedOutputStream::WriteTagToArray(kReadingsTag, begin + at);
  end = CodedOutputStream::WriteVarint32ToArray(static_cast<uint32_t>(size), end);
  end = reading_.SerializeWithCachedSizesToArray(end);
  bytes_.resize(static_cast<size_t>(end - begin));
}

grpc::Slice ToSlice(const google::protobuf::MessageLite& message) {
  return grpc::Slice(message.SerializeAsString());
}

absl::Status ParseBytes(grpc::ByteBuffer bytes, google::protobuf::MessageLite* message) {
  grpc::ProtoBufferReader reader(&bytes);
  if (reader.status().ok() && message->ParseFromZeroCopyStream(&reader)) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument, "REQUEST_MALFORMED",
      "found " + std::to_string(bytes.Length()) + " bytes, expected a " + message->GetTypeName(),
      {{"expected", message->GetTypeName()}});
}

}  // namespace canhub
