ringtap_fuzz(flow SOURCES ${CMAKE_SOURCE_DIR}/native/fuzz/flow_fuzz.cc LINK ringtap_flow)
