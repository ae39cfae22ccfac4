ringtap_test(format SOURCES ${CMAKE_SOURCE_DIR}/native/test/format_test.cc LINK ringtap_format)
