# A number for all that the addon and ringtap_dpdk.so share. Both are built from one tree, and take each other for
# strangers where they were not.

# The headers whose text it stands for, in the source tree at `native`.
function(ringtap_shared_headers result native)
  if(CMAKE_SCRIPT_MODE_FILE)
    file(GLOB headers ${native}/core/*.h)
  else()
    file(GLOB headers CONFIGURE_DEPENDS ${native}/core/*.h)
  endif()
  set(${result} ${headers} ${native}/generated/errors.inc ${native}/backends/dpdk/module.h PARENT_SCOPE)
endfunction()

function(ringtap_contract result native)
  ringtap_shared_headers(headers ${native})
  set(all "")
  foreach(header ${headers})
    file(SHA256 ${header} hash)
    file(RELATIVE_PATH name ${native} ${header})
    string(APPEND all "${name} ${hash}\n")
  endforeach()
  string(SHA256 all "${all}")
  string(SUBSTRING ${all} 0 16 number)
  set(${result} 0x${number} PARENT_SCOPE)
endfunction()
