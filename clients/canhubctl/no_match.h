// What to say when patterns of items match nothing.
#pragma once

#include <string>

#include "clients/canhubctl/session.h"
#include "google/protobuf/repeated_ptr_field.h"

namespace canhub::ctl {

// "no item matches hv0/zzz* (canhubctl items hv0 lists what there is) or hv9/* (the devices are
// hv0, hv1)". Asks the daemon which of the two it is.
std::string NoMatchText(Session& session,
                        const google::protobuf::RepeatedPtrField<std::string>& patterns);

}  // namespace canhub::ctl
