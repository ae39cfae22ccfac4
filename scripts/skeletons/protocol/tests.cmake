ringtap_test(@name@ SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/@name@/@name@_test.cc LINK ringtap_protocol)
