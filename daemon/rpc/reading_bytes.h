// Readings as bytes of a message, made without the message: 256 readings are a thousand small
// objects otherwise (G4).
#pragma once

#include <google/protobuf/message_lite.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "canhub/v1/common.pb.h"
#include "daemon/rpc/convert.h"

namespace canhub {

// Fields of a message may stand in any order, and pieces of its bytes one behind the other are the
// whole message (protobuf's encoding): `readings` are made here, other fields are added as they
// are.
class ReadingBytes {
 public:
  // All readings as of this moment. `simulated`: by DeviceIndex. Both outlive this.
  ReadingBytes(const StateCache& cache, const std::vector<bool>& simulated,
               const ReadingFields& fields);

  // As the next of the field `readings` of GetItemsResponse or WatchItemsResponse. See SetReading.
  void Add(const DeviceSnapshot& snapshot, DeviceIndex device, ItemId item);

  MonoTime made() const { return time_.now(); }
  // When the first of the GOOD readings is GOOD no more; kNever when none is.
  MonoTime good_until() const { return good_until_; }
  grpc::Slice bytes() const { return grpc::Slice(bytes_); }

 private:
  const StateCache& cache_;
  const std::vector<bool>& simulated_;
  const ReadingFields fields_;
  const TimeView time_;
  MonoTime good_until_ = kNever;
  v1::Reading reading_;  // kept for its memory
  std::string bytes_;
};

grpc::Slice ToSlice(const google::protobuf::MessageLite& message);
// INVALID_ARGUMENT: these bytes are no such message.
absl::Status ParseBytes(grpc::ByteBuffer bytes, google::protobuf::MessageLite* message);

}  // namespace canhub
