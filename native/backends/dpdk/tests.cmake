# The ring between the threads needs no DPDK.
ringtap_test(dpdk_ring SOURCES ${CMAKE_SOURCE_DIR}/native/test/dpdk_ring_test.cc LINK ringtap_core Threads::Threads)
if(TARGET ringtap_dpdk_parts)
  ringtap_test(dpdk_untrusted SOURCES ${CMAKE_SOURCE_DIR}/native/test/dpdk_untrusted_test.cc LINK ringtap_dpdk_parts)
  ringtap_test(dpdk SERIAL SOURCES ${CMAKE_SOURCE_DIR}/native/test/dpdk_test.cc
               LINK ringtap_dpdk_parts ringtap_libpcap ${CMAKE_DL_LIBS})
endif()
add_test(NAME dpdk_contract COMMAND ${CMAKE_COMMAND} -DNATIVE=${CMAKE_SOURCE_DIR}/native -DSCRATCH=${CMAKE_BINARY_DIR}/dpdk_contract
         -P ${CMAKE_SOURCE_DIR}/native/test/dpdk_contract_test.cmake)
# For test/dpdk: what the addon must not call.
add_library(ringtap_dpdk_stranger MODULE ${CMAKE_SOURCE_DIR}/native/test/dpdk_stranger.cc)
set_target_properties(ringtap_dpdk_stranger PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
target_link_libraries(ringtap_dpdk_stranger PRIVATE ringtap_flags)
