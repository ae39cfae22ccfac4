ringtap_test(flow SOURCES ${CMAKE_SOURCE_DIR}/native/test/flow_table_test.cc ${CMAKE_SOURCE_DIR}/native/test/flow_meter_test.cc LINK ringtap_flow)
